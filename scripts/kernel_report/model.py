"""A model of the kernels' speed: arithmetic on instruction counts, no measurement."""

import dataclasses
import functools

from . import resources, tiles


@dataclasses.dataclass(frozen=True)
class Case:
    """One sequence; rotary embedding, no documents."""
    length: int
    window: int
    head_size: int
    query_heads: int
    key_heads: int

    @property
    def pairs(self):
        """(query, key, query head)"""
        return self.query_heads * tiles.visible_pairs(self.length, self.window)

    def row_bytes(self, query_arrays, key_arrays, element_bytes=2):
        """Of arrays [length, heads, head_size]."""
        heads = query_arrays * self.query_heads + key_arrays * self.key_heads
        return element_bytes * self.length * self.head_size * heads


FORWARD_FLOPS, BACKWARD_FLOPS = 4, 10  # per head element and visible pair

LENGTH = 16384
CASES = tuple(Case(LENGTH, window, head_size, 16, key_heads)
              for head_size in (64, 128) for key_heads in (16, 4)
              for window in (128, 512, 1024, 4096))


def _block_steps(gpu, kernel, row):
    """For each block of a head, given its passes, the cycles of its parts."""
    tile, loop = kernel.facts["tile"], kernel.loop
    warps, all_groups = tile["warps"], tile["columns"] // 16
    free, masked, empty = map(resources.work_of, (loop.free, loop.masked, loop.empty))
    # Prologue and epilogue, as if no branch skipped any of their code: an upper bound.
    ends = resources.cycles_of(gpu, warps * [resources.work_of(loop.ends)])

    @functools.cache
    def cycles(groups):
        if groups is None:
            return resources.cycles_of(gpu, warps * [free])
        seen = [number / all_groups for number in groups]
        return resources.cycles_of(gpu, [empty * (1 - x) + masked * x for x in seen])

    return [[ends, *(cycles(groups) for groups in passes)] for passes in row]


def _tile_kernel_time(gpu, kernel, case, passes_of, heads, repeats, dram_bytes):
    """`repeats`: how often a block walks over its tiles."""
    tile = kernel.facts["tile"]
    row = [repeats * passes_of(first, tile, case.length, case.window)
           for first in range(0, case.length, tile["rows"])]
    tile_bytes = 2 * tile["columns"] * case.head_size * 2
    l2_bytes = dram_bytes + heads * tile_bytes * sum(map(len, row))
    return resources.kernel_time(gpu, kernel.blocks_on(gpu.multiprocessor),
                                 _block_steps(gpu, kernel, row), heads, l2_bytes, dram_bytes)


def forward_times(gpu, kernels, case):
    """{kernel: Time}. `kernels`: those of the GPU's architecture by (name, head size)."""
    tables = 4 * case.length * case.head_size
    return {
        "prepare": resources.streaming_time(gpu, case.row_bytes(0, 2) + tables),
        "forward": _tile_kernel_time(gpu, kernels["forward", case.head_size], case,
                                     tiles.key_passes, case.query_heads, 1,
                                     case.row_bytes(2, 2) + tables),
    }


def backward_times(gpu, kernels, case):
    tables = 4 * case.length * case.head_size
    return {
        # Reads q, out, d_out, keys, values; writes dq and the rotated queries.
        "query_gradient": _tile_kernel_time(gpu, kernels["query_gradient", case.head_size], case,
                                            tiles.key_passes, case.query_heads, 1,
                                            case.row_bytes(5, 2) + tables),
        # Reads rotated queries, d_out, keys, values; writes dk and dv.
        "key_value_gradient": _tile_kernel_time(
            gpu, kernels["key_value_gradient", case.head_size], case, tiles.query_passes,
            case.key_heads, case.query_heads // case.key_heads, case.row_bytes(2, 4) + tables),
    }


def total(times):
    return sum(time.seconds for time in times.values())
