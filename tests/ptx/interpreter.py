"""Launches kernels out of PTX text on arrays in a GlobalMemory."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from . import machine_instructions, scalar_instructions
from .lanes import WARP_LANES, Lanes
from .machine import Machine
from .parser import PtxError, entry_names, parse_entry
from .translator import translate

HANDLERS = scalar_instructions.HANDLERS | machine_instructions.HANDLERS
LANES_AT_ONCE = 8192  # enough to hide what a call of NumPy costs; registers take some 100 MB


@dataclass(frozen=True)
class Launch:
    grid: tuple  # x, y, z
    threads: int  # of a block
    shared_bytes: int  # dynamic, of a block
    parameters: bytes
    early_copies: bool
    warp_order: str


class Execution:
    """What a launch executed, warp by warp; an instruction under a false predicate counts too."""

    def __init__(self, program, grid, warps):
        """`warps`: how many ran each basic block, in each block of the grid."""
        self._opcodes = [Counter(i.opcode for i in block.instructions) for block in program.blocks]
        self._grid, self._warps = grid, warps

    def per_block(self, opcode):
        """[grid z, y, x]: of each block of the grid, its instructions that begin so."""
        counts = [sum(count for name, count in opcodes.items() if name.startswith(opcode))
                  for opcodes in self._opcodes]
        return (np.array(counts) @ self._warps).reshape(self._grid[::-1])

    def counts(self):
        """By opcode, of the whole grid."""
        total = Counter()
        for opcodes, warps in zip(self._opcodes, self._warps.sum(axis=1).tolist()):
            total.update({name: count * warps for name, count in opcodes.items() if warps > 0})
        return total


class Kernel:
    def __init__(self, ptx_text, name_fragment):
        """The only entry whose (mangled) name contains the fragment."""
        names = entry_names(ptx_text)
        found = [name for name in names if name_fragment in name]
        if len(found) != 1:
            raise PtxError(f"{len(found)} kernels have {name_fragment!r} in their names: "
                           f"{', '.join(found or names)}")
        self._program = translate(parse_entry(ptx_text, found[0]), HANDLERS)

    def launch(self, grid, block, shared_bytes, parameters, memory, early_copies=False,
               warp_order="together"):
        """Runs the whole grid on a GlobalMemory; returns its Execution.

        grid: up to three sizes, x first. block: threads. shared_bytes: dynamic, of a block.
        parameters: bytes as the kernel takes them, or a ctypes structure.

        What a correct kernel does not notice: early_copies lets cp.async arrive at once instead of
        at the wait for it; warp_order "ascending" or "descending" runs one warp of a block after
        the other up to the next barrier instead of all together, so that a missing barrier shows.
        """
        grid = tuple(int(size) for size in np.atleast_1d(grid))
        grid += (1,) * (3 - len(grid))
        launch = Launch(grid, block, shared_bytes, bytes(parameters), early_copies, warp_order)
        self._check(launch)
        blocks = np.arange(np.prod(grid))
        at_once = max(LANES_AT_ONCE // block, 1)
        warps = []
        for first in range(0, blocks.size, at_once):
            lanes = Lanes(grid, block, blocks[first:first + at_once])
            machine = Machine(self._program, launch, lanes, memory)
            machine.run()
            warps.append(machine.executions)
        return Execution(self._program, grid, np.concatenate(warps, axis=1))

    def _check(self, launch):
        limit = self._program.entry.max_threads
        if not 0 < launch.threads <= limit or launch.threads % WARP_LANES:
            raise ValueError(f"{launch.threads} threads in a block, not whole warps up to {limit}")
        if len(launch.parameters) != self._program.parameter_bytes:
            raise ValueError(f"{len(launch.parameters)} bytes of parameters; the kernel takes "
                             f"{self._program.parameter_bytes}")
        if min(launch.grid) < 1:
            raise ValueError(f"an empty grid {launch.grid}")
        if launch.warp_order not in ("together", "ascending", "descending"):
            raise ValueError(f"unknown order {launch.warp_order!r}")
