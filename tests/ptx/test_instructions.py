"""Integers, bits, predicates, moves and addresses against Python's integers, on edge cases."""

import itertools

import pytest

from .handwritten import EDGES, FIRST_LINE, REGISTER, run, signed
from .interpreter import Kernel
from .lanes import KernelFault
from .memory import GlobalMemory
from .parser import PtxError


def integer_body(instruction, bits, result_bits):
    """The instruction with operands a, b, c of one width and a result d of another."""
    register, result = REGISTER[bits], f"{REGISTER[result_bits]}5"
    loads = "\n".join(f"ld.global.b{bits} {register}{i + 1}, [%in+{8 * i}];" for i in range(3))
    for i, name in enumerate("abc"):
        instruction = instruction.replace(f" {name}", f" {register}{i + 1}")
    instruction = instruction.replace(" d,", f" {result},")
    return f"{loads}\n{instruction};\nst.global.b{result_bits} [%out], {result};"


INTEGER = {  # instruction, with its type as TYPE: of the operands' values and their width
    "add.TYPE d, a, b": lambda a, b, c, n: a + b,
    "sub.TYPE d, a, b": lambda a, b, c, n: a - b,
    "mul.lo.TYPE d, a, b": lambda a, b, c, n: a * b,
    "mul.hi.TYPE d, a, b": lambda a, b, c, n: a * b >> n,
    "mad.lo.TYPE d, a, b, c": lambda a, b, c, n: a * b + c,
    "min.TYPE d, a, b": lambda a, b, c, n: min(a, b),
    "max.TYPE d, a, b": lambda a, b, c, n: max(a, b),
    "shr.TYPE d, a, 0": lambda a, b, c, n: a,
    "shr.TYPE d, a, 5": lambda a, b, c, n: a >> 5,
    "shr.TYPE d, a, 100": lambda a, b, c, n: a >> 100,
    "selp.TYPE d, a, b, %p0": lambda a, b, c, n: b,
}


@pytest.mark.parametrize("instruction", INTEGER)
@pytest.mark.parametrize("type_name", ["u16", "s16", "u32", "s32", "u64", "s64"])
def test_integers(instruction, type_name):
    bits = int(type_name[1:])
    expected = INTEGER[instruction]
    read = (lambda x: signed(x, bits)) if type_name[0] == "s" else int
    inputs = [(*pair, 12345) for pair in itertools.product(EDGES[bits], repeat=2)]
    results = run(integer_body(instruction.replace("TYPE", type_name), bits, bits), inputs)
    for operands, result in zip(inputs, results, strict=True):
        exact = expected(*map(read, operands), bits)
        assert result % 2 ** bits == exact % 2 ** bits, operands


BITS = {  # the instruction, and of what width its operands are
    ("and.b16 d, a, b", 16): lambda a, b, c: a & b,
    ("or.b32 d, a, b", 32): lambda a, b, c: a | b,
    ("xor.b64 d, a, b", 64): lambda a, b, c: a ^ b,
    ("not.b32 d, a", 32): lambda a, b, c: ~a,
    ("shl.b32 d, a, b", 32): lambda a, b, c: a << min(b, 99),
    ("shr.u32 d, a, b", 32): lambda a, b, c: a >> min(b, 99),
    ("shr.s32 d, a, b", 32): lambda a, b, c: signed(a, 32) >> min(b, 99),
    ("neg.s32 d, a", 32): lambda a, b, c: -a,
    ("abs.s32 d, a", 32): lambda a, b, c: abs(signed(a, 32)),
    ("bfe.u32 d, a, b, c", 32): lambda a, b, c: extract(a, b & 255, c & 255, False),
    ("bfe.s32 d, a, b, c", 32): lambda a, b, c: extract(a, b & 255, c & 255, True),
    ("bfi.b32 d, a, b, c, 9", 32): lambda a, b, c: insert(a, b, c & 255, 9),
    ("bfi.b32 d, a, b, 4, c", 32): lambda a, b, c: insert(a, b, 4, c & 255),
    ("prmt.b32 d, a, b, c", 32): lambda a, b, c: permute(b << 32 | a, c),
    ("lop3.b32 d, a, b, c, 0xE8", 32): lambda a, b, c: a & b | a & c | b & c,
    ("lop3.b32 d, a, b, c, 0x1B", 32): lambda a, b, c: ~a & ~b | ~a & b & c | a & ~b & ~c,
    ("shf.l.wrap.b32 d, a, b, c", 32): lambda a, b, c: (b << 32 | a) << c % 32 >> 32,
    ("shf.r.wrap.b32 d, a, b, c", 32): lambda a, b, c: (b << 32 | a) >> c % 32,
    ("shf.l.clamp.b32 d, a, b, c", 32): lambda a, b, c: (b << 32 | a) << min(c, 32) >> 32,
    ("shf.r.clamp.b32 d, a, b, c", 32): lambda a, b, c: (b << 32 | a) >> min(c, 32),
}


def extract(x, start, length, is_signed):
    """Bit by bit, as the PTX manual has it."""
    fill = x >> min(start + length - 1, 31) & 1 if is_signed and length > 0 else 0
    bit = lambda i: x >> start + i & 1 if i < length and start + i < 32 else fill
    return sum(bit(i) << i for i in range(32))


def insert(x, into, start, length):
    for i in range(length):
        if start + i < 32:
            into = into & ~(1 << start + i) | (x >> i & 1) << start + i
    return into


def permute(both, selectors):
    result = 0
    for i in range(4):
        selector = selectors >> 4 * i & 15
        byte = both >> 8 * (selector & 7) & 255
        result |= (255 * (byte >> 7) if selector & 8 else byte) << 8 * i
    return result


@pytest.mark.parametrize("instruction, bits", BITS)
def test_bits(instruction, bits):
    """All pairs of edges with some third operands, among them those that prmt and bfe mean."""
    thirds = [0, 5, 31, 32, 200, 0x7654, 0x8F3A]
    inputs = [(a, b, thirds[(i + j) % 7])
              for i, a in enumerate(EDGES[bits]) for j, b in enumerate(EDGES[bits])]
    results = run(integer_body(instruction, bits, bits), inputs)
    for operands, result in zip(inputs, results, strict=True):
        expected = BITS[instruction, bits](*operands)
        assert result % 2 ** bits == expected % 2 ** bits, operands


@pytest.mark.parametrize("type_name", ["u16", "s16", "u32", "s32"])
def test_wide_products(type_name):
    bits = int(type_name[1:])
    read = (lambda x: signed(x, bits)) if type_name[0] == "s" else int
    inputs = list(itertools.product(EDGES[bits], repeat=2))
    results = run(integer_body(f"mul.wide.{type_name} d, a, b", bits, 2 * bits), inputs)
    for (a, b), result in zip(inputs, results, strict=True):
        assert result % 4 ** bits == read(a) * read(b) % 4 ** bits


@pytest.mark.parametrize("type_name", ["u32", "s32", "u64", "s64"])
def test_division(type_name):
    bits = int(type_name[1:])
    read = (lambda x: signed(x, bits)) if type_name[0] == "s" else int
    inputs = [(a, b) for a, b in itertools.product(EDGES[bits], repeat=2) if b != 0]
    quotients = run(integer_body(f"div.{type_name} d, a, b", bits, bits), inputs)
    remainders = run(integer_body(f"rem.{type_name} d, a, b", bits, bits), inputs)
    for (a, b), quotient, remainder in zip(inputs, quotients, remainders, strict=True):
        a, b = read(a), read(b)
        exact = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        assert quotient % 2 ** bits == exact % 2 ** bits
        assert remainder % 2 ** bits == (a - b * exact) % 2 ** bits


def test_division_by_zero():
    with pytest.raises(KernelFault, match="div.u32 .*thread 1: division by zero"):
        run(integer_body("div.u32 d, a, b", 32, 32), [(4, 2), (4, 0)] + [(1, 1)] * 30)


INTEGER_COMPARISONS = {
    "eq.s32": lambda a, b: a == b, "ne.u32": lambda a, b: a != b,
    "lt.s32": lambda a, b: signed(a, 32) < signed(b, 32), "lt.u32": lambda a, b: a < b,
    "ge.s32": lambda a, b: signed(a, 32) >= signed(b, 32), "hi.u32": lambda a, b: a > b,
    "ls.u32": lambda a, b: a <= b, "lo.u32": lambda a, b: a < b, "hs.u32": lambda a, b: a >= b,
}


@pytest.mark.parametrize("comparison", INTEGER_COMPARISONS)
def test_integer_comparisons(comparison):
    inputs = list(itertools.product(EDGES[32], repeat=2))
    body = integer_body(f"setp.{comparison} %p1, a, b; selp.u32 d, 1, 0, %p1", 32, 32)
    expected = [INTEGER_COMPARISONS[comparison](*pair) for pair in inputs]
    assert [result & 1 for result in run(body, inputs)] == expected


def test_predicates():
    """Both destinations, a third operand that is negated and overwritten, and guards."""
    body = """
        ld.global.u32 %r1, [%in];
        and.b32 %r2, %r1, 1;
        setp.eq.u32 %p1, %r2, 1;
        setp.gt.and.u32 %p1|%p2, %r1, 3, !%p1;
        mov.u32 %r3, 0;
        @%p1 add.s32 %r3, %r3, 1;
        @%p2 add.s32 %r3, %r3, 2;
        @!%p1 add.s32 %r3, %r3, 4;
        xor.pred %p3, %p1, %p2;
        not.pred %p3, %p3;
        @%p3 add.s32 %r3, %r3, 8;
        mov.pred %p4, %p3;
        @!%p4 ld.global.u32 %r1, [%in+8];
        @!%p4 st.global.u32 [%out+4], %r1;
        @%p4 st.global.u32 [%out+4], 77;
        st.global.u32 [%out], %r3;
    """
    for x, result in enumerate(run(body, [(x, 50 + x) for x in range(32)])):
        even, large = x % 2 == 0, x > 3
        first, second = large and even, not large and even
        expected = 1 * first + 2 * second + 4 * (not first) + 8 * (first == second)
        assert result == expected + ((77 if first == second else 50 + x) << 32)


@pytest.mark.parametrize("instruction, source, result, expected", [
    ("cvt.u32.u64 d, a", 64, 32, lambda a: a),
    ("cvt.u64.u32 d, a", 32, 64, lambda a: a),
    ("cvt.s64.s32 d, a", 32, 64, lambda a: signed(a, 32)),
    ("cvt.s32.s8 d, a", 32, 32, lambda a: signed(a & 255, 8)),
    ("cvt.u16.u32 d, a", 32, 16, lambda a: a),
    ("cvt.s32.s16 d, a", 16, 32, lambda a: signed(a, 16)),
])
def test_conversions_of_integers(instruction, source, result, expected):
    inputs = [(x,) for x in EDGES[source]]
    for (x,), actual in zip(inputs, run(integer_body(instruction, source, result), inputs)):
        assert actual % 2 ** result == expected(x) % 2 ** result


def test_moves_and_narrow_memory():
    """Packs and unpacks; loads extend into a wider register as their type has it."""
    body = """
        ld.global.v2.u32 {%r1, %r2}, [%in];
        mov.b64 %d1, {%r2, %r1};
        mov.b64 {%r3, _}, %d1;
        mov.b32 {%h1, %h2}, %r3;
        mov.b32 %r4, {%h2, %h1};
        ld.global.s8 %r5, [%in+8];
        ld.global.u8 %r6, [%in+8];
        ld.global.s16 %r7, [%in+8];
        add.s32 %r5, %r5, %r6;
        add.s32 %r5, %r5, %r7;
        st.global.u16 [%out], %r5;
        st.global.u16 [%out+2], %d1;
        st.global.u32 [%out+4], %r4;
    """
    [result] = run(body, [(0x1111222233334444, 0xFE80)])
    total = -128 + 128 + signed(0xFE80, 16)
    assert result == 0x22221111 << 32 | 0x2222 << 16 | total & 0xFFFF


def test_spaces_of_generic_addresses():
    """Half of the lanes read shared memory, the others global memory, and one its parameters."""
    body = """
        .shared .align 8 .b8 fixed[256];
        mov.u32 %r1, fixed;
        mad.lo.s32 %r1, %r0, 8, %r1;
        ld.global.u64 %d1, [%in];
        st.shared.u64 [%r1], %d1;
        st.shared.u32 [dynamic], %r0;
        st.shared.u32 [dynamic+1020], %r0;
        cvt.u64.u32 %d2, %r1;
        cvta.shared.u64 %d2, %d2;
        add.s64 %d3, %in, 8;
        setp.lt.u32 %p1, %r0, 16;
        selp.b64 %d4, %d2, %d3, %p1;
        mov.b64 %d5, kernel_param_1;
        cvta.param.u64 %d5, %d5;
        setp.eq.u32 %p2, %r0, 20;
        @%p2 mov.u64 %d4, %d5;
        ld.u64 %d6, [%d4];
        @%p2 sub.s64 %d6, %d6, %out;
        add.s64 %d6, %d6, 1;
        st.u64 [%out], %d6;
    """
    results = run(body, [(x, 100 + x) for x in range(32)])
    expected = [x + 1 if x < 16 else x + 101 for x in range(32)]
    expected[20] = (1 - 8 * 20) % 2 ** 64  # %out of thread 0, less that of thread 20, and one
    assert results == expected


@pytest.mark.parametrize("body, message", [
    ("frob.b32 %r1, %r2;", "frob.b32 %r1, %r2: unknown instruction"),
    ("add.rz.f32 %f1, %f1, %f1;", "unknown modifier .rz"),
    ("add.f64 %d1, %d1, %d1;", "unknown modifier .f64"),
    ("min.f32 %f1, %f1, %f1, %f1;", "3 operands"),
    ("add.s32 %r1, %r77, 1;", "unknown register %r77"),
    ("add.s32 %r1, %d1, 1;", None),
    ("mov.b64 %d1, %r1;", "%r1 does not fit"),
    ("add.f32 %f1, %f1, 1;", "1 is not of type .f32"),
    ("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%f1}, {%r1}, {%r1}, {%f1};", "unknown"),
    ("shfl.sync.up.b32 %r1, %r1, 1, 0, -1;", "unknown instruction"),
    ("ld.local.u32 %r1, [%d1];", "must not use local memory"),
    (".local .align 4 .b8 depot[4];", "must not use local memory"),
    ("bra $nowhere;", "no such label"),
    ("ld.global.u32 %r1, %r2;", "an address is needed"),
    ("ld.shared.u32 %r1, [missing];", "unknown variable missing"),
    ("cvt.rn.f16.f32 %h1, %f1;", "unknown modifier .f16"),
])
def test_unknown_ptx(body, message):
    if message is None:
        assert run(body + "st.global.u64 [%out], 1;", [()]) == [1]
        return
    with pytest.raises(PtxError, match=f"line {FIRST_LINE + 1}: .*{message}"):
        run("\n" + body, [()])


def test_kernels_are_found_by_name():
    module = "\n".join(f".visible .entry {name}()\n{{\nret;\n}}" for name in ("first", "second"))
    header = "Fatbin ptx code:\n================\narch = sm_80\ncode version = [9,0]\n\n"
    text = f"{header}.version 9.0\n.target sm_80 // .entry commented()\n{module}"
    assert Kernel(text, "sec").launch(1, 32, 0, b"", GlobalMemory()).counts() == {"ret": 1}
    with pytest.raises(PtxError, match="0 kernels have 'third' in their names: first, second"):
        Kernel(text, "third")
    with pytest.raises(PtxError, match="2 kernels have 's' in their names"):
        Kernel(text, "s")
