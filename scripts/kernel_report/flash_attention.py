"""FlashAttention-2 in the same arithmetic, from its tile shapes and what it is known to do.

With a window it masks every tile of every warp. Its backward adds dQ atomically in float32, before
that zeroes the buffer and afterwards converts it; with grouped heads it writes dK and dV of every
query head and sums them. Weights and score gradients go through shared memory. Rotary embedding is
a pass of its own over q and k, in the backward over dq and dk. Instructions beyond the fewest are
assumed to be as many as in our kernels.
"""

import dataclasses

from . import minimum, resources
from .resources import Work

_OVERHEAD = 1.25  # instructions per instruction of the arithmetic
_MASK = 3  # instructions per element: two comparisons, one choice

_FORWARD_TILES = {64: (128, 128), 128: (128, 64)}  # queries, keys; 4 warps, 2 blocks


@dataclasses.dataclass(frozen=True)
class _BackwardTile:
    """Of 8 warps, one block per multiprocessor. Warps along the rows of: scores, dK and dV, dQ."""
    queries: int
    keys: int
    score_warps: int
    key_warps: int
    query_warps: int


_BACKWARD_TILES = {64: _BackwardTile(128, 128, 4, 4, 4), 128: _BackwardTile(64, 128, 2, 4, 2)}
_BACKWARD_WARPS = 8


def _with_overhead(counts, elements, masked):
    work = Work(counts)
    extra = (_OVERHEAD - 1) * sum(counts.values())
    work += Work({"INT": extra}, extra / 2)
    return work + Work({"INT": 2 * elements, "FSEL": elements}) if masked else work


def forward_time(gpu, case, masked=True):
    """Without rotary embedding. masked: with a window; else causal over the whole sequence."""
    rows, columns = _FORWARD_TILES[case.head_size]
    warps = 4
    facts = {"threads": 32 * warps, "tile": {"rows": rows, "columns": columns, "warps": warps,
                                             "left_in_registers": 0}}
    counts = minimum.of_pass("forward", case.head_size, facts)
    elements = rows * columns // warps // 32
    step = resources.cycles_of(gpu, warps * [_with_overhead(counts, elements, masked)])
    numbers = [-(-(first + rows) // columns) - max(first - case.window, 0) // columns
               for first in range(0, case.length, rows)]
    blocks = [number * [step] for number in reversed(numbers)]
    dram = case.row_bytes(2, 2)
    tile_bytes = 2 * columns * case.head_size * 2
    l2 = dram + case.query_heads * tile_bytes * sum(numbers)
    return resources.kernel_time(gpu, 2, blocks, case.query_heads, l2, dram)


def _backward_step(gpu, tile, head_size, masked):
    """The work of a pair of tiles."""
    m, n, d, warps = tile.queries, tile.keys, head_size, _BACKWARD_WARPS

    def reads(rows, columns, depth, row_warps):
        """LDSM of all warps for a product [rows, depth] x [depth, columns]."""
        column_warps = warps // row_warps
        return (rows * column_warps + columns * row_warps) * depth // 256

    elements = m * n // 32  # of all warps
    counts = {
        "HMMA": 5 * m * n * d // (16 * 8 * 16),
        "LDSM": (2 * reads(m, n, d, tile.score_warps) + 2 * reads(n, d, m, tile.key_warps) +
                 reads(m, d, n, tile.query_warps)),
        "LDGSTS": 2 * m * d * 2 // 16 // 32,
        "STS": elements,  # weights and score gradients, in pairs
        "MUFU": elements,
        "F2FP": elements,
        "FP32": 3 * elements,
        "LDG": m * d // 32,  # atomic additions to dQ
    }
    work = _with_overhead(counts, elements, masked)
    return resources.cycles_of(gpu, warps * [work * (1 / warps)])


def backward_times(gpu, case, masked=True):
    """Without rotary embedding."""
    tile = _BACKWARD_TILES[case.head_size]
    step = _backward_step(gpu, tile, case.head_size, masked)
    numbers = [-(-min(first + tile.keys + case.window, case.length) // tile.queries) -
               first // tile.queries for first in range(0, case.length, tile.keys)]
    blocks = [number * [step] for number in numbers]
    grouped = case.query_heads != case.key_heads
    accumulated = case.row_bytes(1, 0, element_bytes=4)  # dQ in float32
    # Reads q, d_out, k, v, adds to dQ; writes dK and dV, of all query heads.
    dram = case.row_bytes(4, 2) + 2 * accumulated
    l2 = dram + case.query_heads * sum(numbers) * tile.queries * case.head_size * (2 * 2 + 4)
    times = {
        "dot and zero": resources.streaming_time(gpu, case.row_bytes(2, 0) + accumulated),
        "gradients": resources.kernel_time(gpu, 1, blocks, case.query_heads, l2, dram),
        "convert dQ": resources.streaming_time(gpu, accumulated + case.row_bytes(1, 0)),
    }
    if grouped:
        times["sum dK, dV"] = resources.streaming_time(gpu, case.row_bytes(2, 2))
    return times


def rotary_time(gpu, case):
    """Reads and writes q and k, or their gradients."""
    return resources.streaming_time(gpu, case.row_bytes(2, 2))
