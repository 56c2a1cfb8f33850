"""How many blocks of a kernel a multiprocessor holds."""

import dataclasses

_WARP = 32
_PARTITIONS = 4  # of a multiprocessor, each with its own registers
_PARTITION_REGISTERS = 16384
_REGISTER_UNIT = 256  # registers are given to a warp in units of this
_SHARED_UNIT = 128
_RESERVED_SHARED = 1024  # of every block, for the system


@dataclasses.dataclass(frozen=True)
class Multiprocessor:
    name: str
    architecture: str  # of the code that runs on it
    shared_bytes: int
    block_shared_bytes: int  # at most
    threads: int
    blocks: int


A100 = Multiprocessor("A100", "sm_80", 164 * 1024, 163 * 1024, 2048, 32)
H100 = Multiprocessor("H100", "sm_90", 228 * 1024, 227 * 1024, 2048, 32)
CONSUMER_86 = Multiprocessor("sm_86", "sm_80", 100 * 1024, 99 * 1024, 1536, 16)
CONSUMER_89 = Multiprocessor("sm_89", "sm_80", 100 * 1024, 99 * 1024, 1536, 24)
ALL = (A100, H100, CONSUMER_86, CONSUMER_89)


def _round_up(x, unit):
    return (x + unit - 1) // unit * unit


def limits(gpu, threads, registers, shared_bytes):
    """{resource: the blocks that it allows}"""
    warps = _round_up(threads, _WARP) // _WARP
    warp_registers = _round_up(registers * _WARP, _REGISTER_UNIT)
    partition_warps = _PARTITION_REGISTERS // warp_registers
    per_block = _round_up(shared_bytes, _SHARED_UNIT) + _RESERVED_SHARED
    return {
        "registers": _PARTITIONS * partition_warps // warps,
        "shared memory": (gpu.shared_bytes // per_block
                          if shared_bytes <= gpu.block_shared_bytes else 0),
        "threads": gpu.threads // (warps * _WARP),
        "blocks": gpu.blocks,
    }


def blocks_per_multiprocessor(gpu, threads, registers, shared_bytes):
    return min(limits(gpu, threads, registers, shared_bytes).values())
