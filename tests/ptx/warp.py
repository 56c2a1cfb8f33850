"""What the instructions of a warp compute. A fragment is arrays [warp, lane], one per register."""

import numpy as np

from .lanes import WARP_LANES


def load_matrices(rows, transposed):
    """ldmatrix.x4 of the rows that the lanes name, each of 8 16-bit elements. Rows 8 i .. 8 i + 7
    are matrix i, of which lane l gets row l / 4, columns 2 (l % 4) and the next in register i."""
    matrices = rows.reshape(-1, 4, 8, 8)
    if transposed:
        matrices = matrices.swapaxes(2, 3)
    pairs = np.ascontiguousarray(matrices).view(np.uint32).reshape(-1, 4, WARP_LANES)
    return pairs.swapaxes(0, 1)


def multiply_add(a, b, c):
    """mma.m16n8k16 of bfloat16 with float32 sums, which are rounded once."""
    # The axes behind the registers' are those of lanes, (l / 4, l % 4), and of neighbouring columns
    # (rows in B), which share a register or, in C, have one each: the last "half".
    a = _unpack(a).reshape(2, 2, -1, 8, 4, 2)  # column half, row half, warp, row, column, half
    a = a.transpose(2, 1, 3, 0, 4, 5).reshape(-1, 16, 16)
    b = _unpack(b).reshape(2, -1, 8, 4, 2)  # row half, warp, column, row, half
    b = b.transpose(1, 0, 3, 4, 2).reshape(-1, 16, 8)
    c = np.stack(c).reshape(2, 2, -1, 8, 4)  # row half, half, warp, row, column
    c = c.transpose(2, 0, 3, 4, 1).reshape(-1, 16, 8)
    total = (a @ b + c).astype(np.float32)
    return total.reshape(-1, 2, 8, 4, 2).transpose(1, 4, 0, 2, 3).reshape(4, -1, WARP_LANES)


def _unpack(registers):
    """Pairs of bfloat16 as float64 numbers along a new last axis."""
    bits = np.stack(registers)
    pairs = np.stack([bits << 16, bits & np.uint32(0xFFFF0000)], axis=-1)
    return pairs.view(np.float32).astype(np.float64)


def shuffle_source(lanes, lane_mask, bounds):
    """shfl.bfly: the lane that each lane reads, and whether it is the one asked for: one beyond the
    segment that `bounds` sets reads itself."""
    lane = lanes % WARP_LANES
    segment, last = bounds >> 8 & 31, bounds & 31
    asked = lane ^ lane_mask & 31
    inside = asked <= (lane & segment | last & ~segment)
    return lanes - lane + np.where(inside, asked, lane), inside
