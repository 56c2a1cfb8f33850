"""What PTX's scalar instructions compute, over arrays.

Float results are rounded to nearest even, also where the hardware approximates (ex2, lg2, ...).
"""

import numpy as np

TINY = np.finfo(np.float32).tiny


def to_bfloat16(x):
    """The bits of float32 numbers as bfloat16, to nearest even."""
    bits = x.view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(x), 0x7FFF, rounded).astype(np.uint16)


def from_bfloat16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def flush(x):
    """Subnormal numbers become zeros of the same sign."""
    return np.where(np.abs(x) < TINY, np.copysign(np.float32(0), x), x)


def fma(a, b, c):
    """a b + c in float32, rounded once.

    The product is exact in float64. The sum is rounded to odd there, which keeps what the rounding
    to float32 needs to know: whether bits were lost, and on which side of a tie the sum lies.
    """
    product = np.multiply(a, b, dtype=np.float64)
    c = np.asarray(c, np.float64)
    total = product + c
    part = total - product
    error = (product - (total - part)) + (c - part)
    bits = total.view(np.int64)
    odd = bits | 1
    odd -= 2 * ((bits & 1 == 0) & ((error > 0) != (total > 0)))
    rounded = np.where((error != 0) & np.isfinite(total), odd, bits).view(np.float64)
    return rounded.astype(np.float32)


def minimum(a, b):
    """The number where one is NaN; -0 is less than +0."""
    either = (a.view(np.uint32) | b.view(np.uint32)).view(np.float32)
    return np.where(a == b, either, np.fmin(a, b))


def maximum(a, b):
    either = (a.view(np.uint32) & b.view(np.uint32)).view(np.float32)
    return np.where(a == b, either, np.fmax(a, b))


def exp2(x):
    return np.exp2(x.astype(np.float64)).astype(np.float32)


def log2(x):
    return np.log2(x.astype(np.float64)).astype(np.float32)


def round_to_integral(x, rounding):
    return {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}[rounding](x)


def to_integer(x, rounding, dtype):
    """Clamped to the range of the type."""
    info = np.iinfo(dtype)
    x = round_to_integral(x.astype(np.float64), rounding)
    above, below, unordered = x >= float(info.max), x <= float(info.min), np.isnan(x)
    result = np.where(above | below | unordered, 0, x).astype(dtype)
    nothing = 1 << 63 if info.bits == 64 else 0
    result = np.where(unordered, np.uint64(nothing).astype(dtype), result)
    return np.where(above, info.max, np.where(below, info.min, result)).astype(dtype)


def divide(a, b):
    """Towards zero."""
    quotient = a // b
    return quotient + ((quotient * b != a) & ((a < 0) != (b < 0))).astype(quotient.dtype)


def remainder(a, b):
    return a - divide(a, b) * b


def multiply_high(a, b):
    """The upper half of the product of two integers of one type."""
    dtype = a.dtype
    bits = dtype.itemsize * 8
    if bits < 64:
        wide = np.int64 if dtype.kind == "i" else np.uint64
        return (np.multiply(a, b, dtype=wide) >> bits).astype(dtype)
    a, b = np.broadcast_arrays(a, b)
    unsigned_a, unsigned_b = a.astype(np.uint64), b.astype(np.uint64)
    low, high = np.uint64(0xFFFFFFFF), np.uint64(32)
    a0, a1, b0, b1 = unsigned_a & low, unsigned_a >> high, unsigned_b & low, unsigned_b >> high
    middle = a1 * b0 + (a0 * b0 >> high)
    carry = a0 * b1 + (middle & low)
    result = a1 * b1 + (middle >> high) + (carry >> high)
    if dtype.kind == "i":
        result -= np.where(a < 0, unsigned_b, 0) + np.where(b < 0, unsigned_a, 0)
    return result.astype(dtype)


def extract_bits(x, start, length):
    """bfe: `length` bits from bit `start` on, extended as the type has it."""
    start, length = np.minimum(start & 0xFF, 63), np.minimum(length & 0xFF, 32)
    wide = np.int64 if x.dtype.kind == "i" else np.uint64
    unused = (64 - length).astype(wide)
    return (x.astype(wide) >> start.astype(wide) << unused >> unused).astype(x.dtype)


def insert_bits(x, into, start, length):
    """bfi: the lowest `length` bits of x replace those of `into` from bit `start` on."""
    start = np.minimum(start & 0xFF, 63).astype(np.uint64)
    ones = (np.uint64(1) << np.minimum(length & 0xFF, 32).astype(np.uint64)) - np.uint64(1)
    replaced = (ones << start).astype(np.uint32)
    return (x.astype(np.uint64) << start).astype(np.uint32) & replaced | into & ~replaced


def permute_bytes(a, b, selectors):
    """prmt: four of the bytes of (b, a), or copies of their sign bits."""
    both = _pair(a, b)
    result = np.uint32(0)
    for i in range(4):
        selector = selectors >> 4 * i & 0xF
        byte = (both >> (8 * (selector & 7)).astype(np.uint64)).astype(np.uint32) & 0xFF
        byte = np.where(selector & 8, (byte >> 7) * np.uint32(0xFF), byte)
        result = result | byte << 8 * i
    return result


def lookup_bits(a, b, c, table):
    """lop3: any function of three bits."""
    result = np.uint32(0)
    for entry in range(8):
        bits = (a if entry & 4 else ~a) & (b if entry & 2 else ~b) & (c if entry & 1 else ~c)
        result = result | np.where(table >> entry & 1, bits, np.uint32(0))
    return result


def funnel_shift_l_wrap(low, high, amount):
    return (_pair(low, high) << (amount & 31).astype(np.uint64) >> 32).astype(np.uint32)


def funnel_shift_r_wrap(low, high, amount):
    return (_pair(low, high) >> (amount & 31).astype(np.uint64)).astype(np.uint32)


def funnel_shift_l_clamp(low, high, amount):
    amount = np.minimum(amount, 32).astype(np.uint64)
    return (_pair(low, high) << amount >> 32).astype(np.uint32)


def funnel_shift_r_clamp(low, high, amount):
    amount = np.minimum(amount, 32).astype(np.uint64)
    return (_pair(low, high) >> amount).astype(np.uint32)


def _pair(low, high):
    return high.astype(np.uint64) << 32 | low.astype(np.uint64)
