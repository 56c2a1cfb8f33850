"""The fewest instructions that one warp needs for one pass over a tile without a mask.

A warp has R rows; the tile has C columns of the head size D. Counts are of warp instructions; what
is said "per element" is per score that a lane holds, R C / 32 of them, "per row" per row that a
lane has a part in, R / 8.
"""

_PRODUCT = 16 * 8 * 16  # multiply-adds of one HMMA
_BLOCK = 16 * 16  # elements that one LDSM.x4 brings

# Per kernel: products of R C D multiply-adds; reads of a C x D tile as a right operand; left
# operands of R x D; conversions of an element to bfloat16.
_PRODUCTS = {"forward": (2, 2, 1, 1), "query_gradient": (3, 3, 2, 1),
             "key_value_gradient": (4, 4, 2, 2)}


def of_pass(name, head_size, facts):
    """{kind of instruction: the fewest}"""
    tile = facts["tile"]
    rows, columns = tile["rows"] // tile["warps"], tile["columns"]
    products, right, left, rounded = _PRODUCTS[name]
    elements, lane_rows = rows * columns // 32, rows // 8
    left_reads = max(left - tile["left_in_registers"], 0) * rows * head_size // _BLOCK
    fewest = {
        "HMMA": products * rows * columns * head_size // _PRODUCT,
        "LDSM": right * columns * head_size // _BLOCK + left_reads,
        # Two tiles of bfloat16, 16 bytes per thread.
        "LDGSTS": 2 * columns * head_size * 2 // 16 // facts["threads"],
        "MUFU": elements,
        "F2FP": rounded * elements // 2,
        "LDS": 0,
        "STS": 0,
        "FMNMX": 0,
        "FSEL": 0,
        "SHFL": 0,
        "BAR": 1,
    }
    if name == "forward":
        fewest["MUFU"] += lane_rows  # what the row had so far is brought to the new largest score
        # Per element: scale and subtract, sum. Per row: scale the largest, correct the sum.
        # Correct the R x D outputs.
        fewest["FP32"] = 2 * elements + 2 * lane_rows + rows * head_size // 32
        # The largest over the lane's elements and the three other lanes of the row.
        fewest["FMNMX"] = elements + 2 * lane_rows
        fewest["SHFL"] = 2 * lane_rows
        fewest["FSEL"] = 2 * lane_rows  # has the row seen a key?
    else:
        fewest["FP32"] = 3 * elements  # scale and subtract; subtract delta; multiply
    if name == "key_value_gradient":
        fewest["LDS"] = columns // 8  # the statistics of two neighbouring columns are 16 bytes
        fewest["LDGSTS"] += 1  # statistics and first keys
    return fewest
