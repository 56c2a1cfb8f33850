"""Floats and conversions to and from them against Python's fractions, on edge cases."""

import itertools
import math
import struct
from fractions import Fraction

import numpy as np
import pytest

from .handwritten import EDGES, REGISTER, bits_of, run, signed

FLOATS = [0.0, -0.0, 1.0, -1.0, 1.5, 2.5, -2.5, 3.1415927, 1e-3, -1e10, 2.0 ** 31, 2.0 ** 63,
          -2.0 ** 63, 1e-40, -1e-45, 1.1754944e-38, 3.4028235e38, math.inf, -math.inf, math.nan]


def float_of(bits):
    return struct.unpack("<f", struct.pack("<I", bits & 0xFFFFFFFF))[0]


def is_same(actual, expected):
    """Whether bits are those of a float32; every NaN is the same."""
    if math.isnan(expected):
        return math.isnan(float_of(actual))
    return actual == bits_of(expected)


def float32(exact):
    """The float32 nearest to a fraction, to even between two."""
    near = np.float32(float(exact))
    with np.errstate(over="ignore"):
        candidates = [near, *(np.nextafter(near, np.float32(end)) for end in (-np.inf, np.inf))]
    distance = lambda x: (abs(Fraction(float(x)) - exact), bits_of(x) & 1)
    return float(min((x for x in candidates if np.isfinite(x)), key=distance))


def float_body(instruction):
    """Writes the bits of %f5."""
    loads = "\n".join(f"ld.global.f32 %f{i + 1}, [%in+{8 * i}];" for i in range(3))
    for i, name in enumerate("abc"):
        instruction = instruction.replace(f" {name}", f" %f{i + 1}")
    return f"{loads}\n{instruction.replace(' d,', ' %f5,')};\nst.global.f32 [%out], %f5;"


def run_floats(instruction, operands):
    """Bits of the results."""
    results = []
    for first in range(0, len(operands), 1024):
        rows = [[bits_of(x) for x in row] for row in operands[first:first + 1024]]
        results += [result & 0xFFFFFFFF for result in run(float_body(instruction), rows)]
    return results


def fma_cases():
    """Sums a hair off the middle of two float32, where rounding twice goes wrong, and others."""
    a, b = 1 + 2.0 ** -11, 1 + 2.0 ** -13  # a b ends in 2^-24, half a unit in the last place
    hairs = (0, 2.0 ** -54, -2.0 ** -54, 2.0 ** -80, -2.0 ** -80)
    for scale, sign, tiny in itertools.product((1, 2.0 ** -20, 2.0 ** 90), (1, -1), hairs):
        yield sign * a, b * scale, tiny * scale
        yield sign * a * (1 + 2.0 ** -3), b * scale, tiny * scale
    # A subnormal result, and one whose product no float64 sum can hold.
    yield 1 + 2.0 ** -11, 2.0 ** -140, 2.0 ** -149
    yield 2.0 ** 60, 2.0 ** 60, 2.0 ** -100
    yield 2.0 ** 12, 2.0 ** 12, -2.0 ** 24
    generator = np.random.default_rng(0)
    draw = lambda: float(np.float32(generator.standard_normal() * 2.0 ** generator.integers(-9, 9)))
    for _ in range(900):
        yield draw(), draw(), draw()


def test_fma_rounds_once():
    cases = list(fma_cases())
    for (a, b, c), bits in zip(cases, run_floats("fma.rn.f32 d, a, b, c", cases), strict=True):
        exact = Fraction(a) * Fraction(b) + Fraction(c)
        assert bits == bits_of(float32(exact)), (a, b, c)


def test_fma_of_special_values():
    cases = [(math.inf, 1.0, 1.0), (math.inf, 0.0, 1.0), (math.nan, 1.0, 1.0),
             (math.inf, 1.0, -math.inf), (2.0 ** 100, 2.0 ** 100, -math.inf),
             (2.0 ** 100, 2.0 ** 100, 1.0), (-0.0, 1.0, -0.0), (1.0, 1.0, -1.0)]
    expected = [math.inf, math.nan, math.nan, math.nan, -math.inf, math.inf, -0.0, 0.0]
    for bits, value in zip(run_floats("fma.rn.f32 d, a, b, c", cases), expected, strict=True):
        assert is_same(bits, value)


@pytest.mark.parametrize("instruction, function", [
    ("add.f32 d, a, b", lambda a, b: a + b),
    ("sub.f32 d, a, b", lambda a, b: a - b),
    ("mul.f32 d, a, b", lambda a, b: a * b),
    ("div.rn.f32 d, a, b", lambda a, b: a / b),
    ("neg.f32 d, a", lambda a, b: -a),
    ("abs.f32 d, a", lambda a, b: abs(a)),
])
def test_float_arithmetic(instruction, function):
    finite = [np.float32(x) for x in FLOATS if math.isfinite(x) and x != 0]
    cases = list(itertools.product(finite, repeat=2))
    for (a, b), bits in zip(cases, run_floats(instruction, cases), strict=True):
        exact = function(Fraction(float(a)), Fraction(float(b)))
        if abs(exact) > Fraction(3.4028235e38):
            expected = math.inf if exact > 0 else -math.inf
        else:
            expected = float32(exact)
        assert bits & 0x7FFFFFFF == bits_of(expected) & 0x7FFFFFFF
        assert bits == bits_of(expected) or expected == 0


def test_roots_and_reciprocals():
    cases = [(x,) for x in FLOATS if 0 < x < math.inf]
    for (x,), bits in zip(cases, run_floats("sqrt.rn.f32 d, a", cases), strict=True):
        root = Fraction(float_of(bits))
        ulp = Fraction(float(np.spacing(np.float32(float_of(bits)))))
        assert (root - ulp / 2) ** 2 <= Fraction(float(np.float32(x))) <= (root + ulp / 2) ** 2
    cases = [(x,) for x in FLOATS if 1e-30 < abs(x) < math.inf]
    for (x,), bits in zip(cases, run_floats("rcp.rn.f32 d, a", cases), strict=True):
        assert bits == bits_of(float32(1 / Fraction(float(np.float32(x)))))


@pytest.mark.parametrize("name, choose", [("min", min), ("max", max)])
def test_float_minimum_and_maximum(name, choose):
    cases = list(itertools.product(FLOATS, repeat=2))
    for (a, b), bits in zip(cases, run_floats(f"{name}.f32 d, a, b", cases), strict=True):
        numbers = [x for x in (a, b) if not math.isnan(x)]
        expected = choose(numbers, key=lambda x: (x, math.copysign(1, x)), default=math.nan)
        assert is_same(bits, expected), (a, b)


def test_flush_to_zero():
    cases = [(1e-40, 1.0), (-1e-40, 1.0), (2.0 ** -100, 2.0 ** -40), (2.0 ** -126, 1.0)]
    flushed = run_floats("mul.ftz.f32 d, a, b", cases)
    assert flushed == [bits_of(x) for x in (0.0, -0.0, 0.0, 2.0 ** -126)]
    kept = run_floats("mul.f32 d, a, b", cases)
    assert kept == [bits_of(x) for x in (1e-40, -1e-40, 2.0 ** -140, 2.0 ** -126)]


FLOAT_COMPARISONS = {
    "eq": lambda a, b: a == b, "lt": lambda a, b: a < b, "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b, "ne": lambda a, b: a < b or a > b,
}


@pytest.mark.parametrize("comparison", FLOAT_COMPARISONS)
def test_float_comparisons(comparison):
    cases = list(itertools.product(FLOATS, repeat=2))
    for suffix, unordered_result in (("", False), ("u", True)):
        body = (f"setp.{comparison}{suffix}.f32 %p1, a, b; selp.f32 d, 0f3F800000, 0f00000000, %p1")
        for (a, b), bits in zip(cases, run_floats(body, cases), strict=True):
            unordered = math.isnan(a) or math.isnan(b)
            expected = unordered_result if unordered else FLOAT_COMPARISONS[comparison](a, b)
            assert bits == bits_of(float(expected)), (a, b)


def test_numbers_and_nans():
    for name, expected in (("num", False), ("nan", True)):
        body = f"setp.{name}.f32 %p1, a, b; selp.f32 d, 0f3F800000, 0f00000000, %p1"
        assert run_floats(body, [(1.0, math.nan)]) == [bits_of(float(expected))]
        assert run_floats(body, [(1.0, math.inf)]) == [bits_of(float(not expected))]


@pytest.mark.parametrize("type_name", ["u32", "s32", "u64", "s64"])
@pytest.mark.parametrize("rounding, function", [("rni", round), ("rzi", math.trunc),
                                                ("rmi", math.floor), ("rpi", math.ceil)])
def test_conversions_to_integers(type_name, rounding, function):
    bits = int(type_name[1:])
    low = -2 ** (bits - 1) if type_name[0] == "s" else 0
    high = low + 2 ** bits - 1
    register = f"{REGISTER[bits]}5"
    body = (f"ld.global.f32 %f1, [%in]; cvt.{rounding}.{type_name}.f32 {register}, %f1;"
            f"st.global.b{bits} [%out], {register};")
    for x, result in zip(FLOATS, run(body, [(bits_of(x),) for x in FLOATS]), strict=True):
        if math.isnan(x):
            expected = 1 << 63 if bits == 64 else 0
        else:
            expected = min(max(x, low), high) if math.isinf(x) else min(max(function(x), low), high)
        assert result % 2 ** bits == expected % 2 ** bits, x


@pytest.mark.parametrize("type_name", ["u32", "s32", "u64", "s64"])
def test_conversions_to_floats(type_name):
    bits = int(type_name[1:])
    read = (lambda x: signed(x, bits)) if type_name[0] == "s" else int
    inputs = [(x,) for x in EDGES[bits] + [2 ** 24 + 1, 2 ** 24 + 3, 2 ** 31 - 64]]
    body = (f"ld.global.b{bits} {REGISTER[bits]}1, [%in]; cvt.rn.f32.{type_name} %f1, "
            f"{REGISTER[bits]}1; st.global.f32 [%out], %f1;")
    for (x,), result in zip(inputs, run(body, inputs), strict=True):
        assert result & 0xFFFFFFFF == bits_of(float32(Fraction(read(x))))


def test_conversions_to_and_from_bfloat16():
    """To nearest even: 1 + 2^-8 lies between 1 and 1 + 2^-7."""
    cases = {1 + 2.0 ** -8: 0x3F80, 1 + 3 * 2.0 ** -8: 0x3F82, 1 + 2.0 ** -8 + 2.0 ** -20: 0x3F81,
             -1.0: 0xBF80, 3.4028235e38: 0x7F80, math.inf: 0x7F80, 1e-40: 0x0001, -0.0: 0x8000}
    body = """
        ld.global.f32 %f1, [%in];
        ld.global.f32 %f2, [%in+8];
        cvt.rn.bf16.f32 %h1, %f1;
        cvt.rn.bf16x2.f32 %r1, %f2, %f1;
        cvt.f32.bf16 %f3, %h1;
        mov.b32 %r2, {%h1, %h1};
        setp.ne.f32 %p1, %f1, %f1;
        @%p1 mov.b32 %r2, %f3;
        st.global.v2.u32 [%out], {%r1, %r2};
    """
    results = run(body, [(bits_of(x), bits_of(2.0)) for x in cases])
    assert results == [0x40000000 | bits | bits << 32 | bits << 48 for bits in cases.values()]
    assert run(body, [(bits_of(math.nan), bits_of(math.nan))])[0] & 0xFFFFFFFF == 0x7FFF7FFF
