"""Which tiles the kernels visit, and what each warp finds visible there: the arithmetic of
csrc_kernels/cuda/ampere/visibility.h for one sequence without documents.

A pass over a tile is None where the tile needs no mask, else the numbers of 16-column groups that
the warps work on.
"""


def visible_pairs(length, window):
    return sum(min(token, window) + 1 for token in range(length))


def _down(x, step):
    return x // step * step


def _up(x, step):
    return -(-x // step) * step


def _visible(first, last, tile, columns):
    """Groups of the tile that hold any of the columns first .. last."""
    begin = max(first - tile, 0) // 16
    end = min((last - tile + 16) // 16, columns // 16)
    return max(end - begin, 0)


def key_passes(first, shape, length, window):
    """Of the block of queries that starts at `first`."""
    rows, columns, warps = shape["rows"], shape["columns"], shape["warps"]
    warp_rows = rows // warps
    free_begin = _up(max(first + rows - 1 - window, 0), columns)
    free_end = _down(first + 1, columns)
    passes = []
    for tile in range(_down(max(first - window, 0), columns),
                      _up(min(first + rows, length), columns), columns):
        if free_begin <= tile < free_end:
            passes.append(None)
        else:
            starts = range(first, first + rows, warp_rows)
            passes.append(tuple(_visible(max(start - window, 0), start + warp_rows - 1, tile,
                                         columns) for start in starts))
    return passes


def query_passes(first, shape, length, window):
    """Of the block of keys that starts at `first`, for one query head."""
    rows, columns, warps = shape["rows"], shape["columns"], shape["warps"]
    warp_rows = rows // warps
    last = min(first + rows, length) - 1
    free_begin = _up(last, columns)
    passes = []
    for tile in range(_down(first, columns), min(last + window + 1, length), columns):
        last_query = min(tile + columns, length) - 1
        if free_begin <= tile and max(last_query - window, 0) <= first:
            passes.append(None)
        else:
            starts = range(first, first + rows, warp_rows)
            passes.append(tuple(_visible(start, start + warp_rows - 1 + window, tile, columns)
                                for start in starts))
    return passes
