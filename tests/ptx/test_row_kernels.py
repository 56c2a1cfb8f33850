"""nvcc's PTX of the shipped row kernels, with the launches of the shipped host code, against float64. Most cases are
tests/csrc_kernels/test_*_cuda.cpp's; here are a few of each kernel, for what the compiler makes and for addresses."""

import numpy as np
import pytest

from .nvcc import find_nvcc
from .shipped_row_kernels import Arrays, ShippedRowKernels

pytestmark = pytest.mark.skipif(find_nvcc() is None, reason="nvcc is not there")
NO_TARGET = -100

# is_float32, alignment of all arrays in bytes: 16 takes the kernels that move 16 bytes at a time.
KINDS = pytest.mark.parametrize("is_float32, alignment", [(True, 16), (True, 4), (False, 16), (False, 2)])
ORDERS = ("ascending", "descending")


@pytest.fixture(scope="module")
def kernels():
    return ShippedRowKernels()


def check(arrays, name, exact, is_float32=None):
    """Float32 arithmetic is off by some units of the largest value; a bfloat16 by half a unit more."""
    exact = np.asarray(exact, np.float64)
    unit = 2.0 ** -24 if (arrays.is_float32 if is_float32 is None else is_float32) else 2.0 ** -8
    bound = 8 * 2.0 ** -23 * np.abs(exact).max() + unit * np.abs(exact)
    actual = arrays.read(name).astype(np.float64)
    assert actual.shape == exact.shape
    assert (np.abs(actual - exact) <= bound).all()  # false for NaN


def draw(arrays, seed, *shape, scale=2.0):
    return arrays.round(np.random.default_rng(seed).uniform(-scale, scale, shape))


def whole_chunks(width, arrays):
    return arrays.alignment == 16 and width % (4 if arrays.is_float32 else 8) == 0


@KINDS
@pytest.mark.parametrize("rows, width", [(6, 40), (3, 2056), (5, 77), (2, 16424)])
def test_rms_norm(kernels, is_float32, alignment, rows, width):
    results = []
    for order in ORDERS:
        arrays = Arrays(is_float32, alignment)
        x, added, d_out, d_sum = (draw(arrays, seed, rows, width) for seed in range(4))
        weight = draw(arrays, 4, width)
        total = arrays.round(x + added)
        mean = lambda values: values.mean(axis=1, keepdims=True)
        inverse_rms = 1 / np.sqrt(mean(total.astype(np.float64) ** 2) + np.float32(1e-5))
        addresses = {"sum": arrays.output("sum", rows, width), "weight": arrays.input("weight", weight),
                     "inverse_rms": arrays.float_output("inverse_rms", rows)}
        launched = kernels.launch(
            "rms_norm_forward", is_float32, rows, width, arrays.input("x", x), arrays.input("added", added),
            addresses["weight"], 1e-5, addresses["sum"], arrays.output("out", rows, width), addresses["inverse_rms"],
            memory=arrays.memory, warp_order=order)
        assert launched == [("rms_norm_forward", f"6AccessI{'tf'[is_float32]}Lb{int(whole_chunks(width, arrays))}E")]
        np.testing.assert_array_equal(arrays.read("sum"), total)
        check(arrays, "inverse_rms", inverse_rms[:, 0], True)
        normalized = total * inverse_rms
        check(arrays, "out", normalized * weight)

        d_x = arrays.in_place("d_x", d_sum)
        workspace_bytes = int(kernels.record("rms_norm_workspace", is_float32, rows, width)[0])
        kernels.launch(
            "rms_norm_backward", is_float32, rows, width, addresses["sum"], addresses["weight"],
            addresses["inverse_rms"], arrays.input("d_out", d_out), d_x, d_x, arrays.float_output("d_weight", width),
            arrays.memory.add_output("workspace", workspace_bytes, np.uint8), memory=arrays.memory, warp_order=order)
        d = d_out * weight.astype(np.float64)
        check(arrays, "d_x", d_sum + inverse_rms * (d - normalized * mean(d * normalized)))
        check(arrays, "d_weight", (d_out * normalized).sum(axis=0), True)
        results.append([arrays.read(name) for name in ("out", "inverse_rms", "d_x", "d_weight")])
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


def test_rms_norm_of_many_rows(kernels):
    """More rows than groups of threads: each warp walks over several."""
    rows, width = 2048 + 5, 24
    arrays = Arrays(False, 16)
    total, d_out, weight = draw(arrays, 0, rows, width), draw(arrays, 1, rows, width), draw(arrays, 2, width)
    inverse_rms = (1 / np.sqrt((total ** 2).mean(axis=1) + 1e-5)).astype(np.float32)
    workspace_bytes = int(kernels.record("rms_norm_workspace", False, rows, width)[0])
    launched = kernels.launch(
        "rms_norm_backward", False, rows, width, arrays.input("sum", total), arrays.input("weight", weight),
        arrays.floats("inverse_rms", inverse_rms), arrays.input("d_out", d_out), 0, arrays.output("d_x", rows, width),
        arrays.float_output("d_weight", width), arrays.memory.add_output("workspace", workspace_bytes, np.uint8),
        memory=arrays.memory)
    assert [name for name, _ in launched] == ["rms_norm_backward", "add_partials"]
    normalized = total * inverse_rms.astype(np.float64)[:, None]
    d = d_out * weight.astype(np.float64)
    check(arrays, "d_x", inverse_rms[:, None] * (d - normalized * (d * normalized).mean(axis=1, keepdims=True)))
    check(arrays, "d_weight", (d_out * normalized).sum(axis=0), True)


@KINDS
@pytest.mark.parametrize("rows, width", [(5, 40), (2, 2104), (3, 77)])
def test_swiglu(kernels, is_float32, alignment, rows, width):
    arrays = Arrays(is_float32, alignment)
    gate_up, d_out = draw(arrays, 0, rows, 2 * width, scale=9.0), draw(arrays, 1, rows, width)
    address = arrays.in_place("gate_up", gate_up)
    kernels.launch("swiglu_forward", is_float32, rows, width, address, arrays.output("out", rows, width),
                   memory=arrays.memory)
    again = arrays.in_place("again", d_out)
    kernels.launch("swiglu_backward", is_float32, rows, width, address, again, address, again, memory=arrays.memory)
    g, u = np.split(gate_up.astype(np.float64), 2, axis=1)
    s = 1 / (1 + np.exp(-g))
    check(arrays, "out", g * s * u)
    check(arrays, "gate_up", np.concatenate([d_out * u * s * (1 + g * (1 - s)), d_out * g * s], axis=1))
    np.testing.assert_array_equal(arrays.read("again"), arrays.read("out"))


@KINDS
@pytest.mark.parametrize("rows, vocabulary", [(6, 40), (3, 5000), (4, 1027)])
def test_cross_entropy(kernels, is_float32, alignment, rows, vocabulary):
    arrays = Arrays(is_float32, alignment)
    logits = draw(arrays, 0, rows, vocabulary, scale=12.0)
    targets = np.random.default_rng(1).integers(0, vocabulary, rows)
    targets[1], targets[2] = NO_TARGET, vocabulary - 1
    address = arrays.in_place("logits", logits)
    kernels.launch("cross_entropy", is_float32, rows, vocabulary, address,
                   arrays.memory.add_input("targets", targets, 8), 1e-3, arrays.float_output("cross_entropy", rows),
                   arrays.float_output("log_sum_exp", rows), address, memory=arrays.memory)
    exact = logits.astype(np.float64)
    log_sum_exp = np.log(np.exp(exact).sum(axis=1))
    has_target = targets != NO_TARGET
    chosen = np.arange(vocabulary) == targets[:, None]
    check(arrays, "log_sum_exp", log_sum_exp, True)
    check(arrays, "cross_entropy", np.where(has_target, log_sum_exp - (exact * chosen).sum(axis=1), 0), True)
    factor = 1 + 2 * 1e-3 * log_sum_exp
    gradient = np.exp(exact - log_sum_exp[:, None]) * factor[:, None] - chosen
    check(arrays, "logits", gradient * has_target[:, None])


@KINDS
@pytest.mark.parametrize("head_size, inverse", [(64, False), (128, True), (6, False)])
def test_rotary(kernels, is_float32, alignment, head_size, inverse):
    arrays = Arrays(is_float32, alignment)
    batch, length, heads, half = 2, 5, 3, head_size // 2  # of four heads
    x = draw(arrays, 0, batch, length, 4, head_size)
    angles = np.random.default_rng(1).uniform(-9, 9, (length, half))
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    address = arrays.in_place("x", x)
    strides = 4 * length * head_size, 4 * head_size, head_size
    kernels.launch("rotary", is_float32, batch, length, heads, head_size, address, *strides, address, *strides,
                   arrays.floats("cos", cos), arrays.floats("sin", sin), 0, half, int(inverse), memory=arrays.memory)
    exact = x.astype(np.float64)
    low, high = exact[:, :, :heads, :half].copy(), exact[:, :, :heads, half:].copy()
    cos, sin = cos[:, None].astype(np.float64), (-1 if inverse else 1) * sin[:, None].astype(np.float64)
    exact[:, :, :heads, :half], exact[:, :, :heads, half:] = low * cos - high * sin, high * cos + low * sin
    check(arrays, "x", exact)
    np.testing.assert_array_equal(arrays.read("x")[:, :, heads:], x[:, :, heads:])


@pytest.mark.parametrize("alignment", [16, 4])
@pytest.mark.parametrize("applies", [1, 0])
def test_adamw(kernels, alignment, applies):
    size, decayed = 2307, 1000
    arrays = Arrays(True, alignment)
    g, w, m, v = (draw(arrays, seed, size) for seed in range(4))
    v = v * v
    scale, correction1, correction2 = np.float32(0.37), np.float32(0.1), np.float32(0.05)
    lr, beta1, beta2, eps, decay = map(np.float32, (1e-3, 0.9, 0.95, 1e-8, 0.1))
    state = [arrays.in_place(name, values, as_float=True) for name, values in (("w", w), ("m", m), ("v", v))]
    rounded = arrays.memory.add_output("rounded", size, np.uint16, min(alignment, 16))
    kernels.launch("adamw", True, size, decayed, arrays.floats("g", g), *state, rounded, lr, beta1, beta2, eps, decay,
                   arrays.memory.add_input("step", np.array([scale, correction1, correction2, applies], np.float32), 4),
                   memory=arrays.memory, instance=f"ILb{int(alignment == 16)}E")
    if not applies:
        assert arrays.memory.unwritten("rounded") == 2 * size
        for name, before in (("w", w), ("m", m), ("v", v)):
            np.testing.assert_array_equal(arrays.read(name), before)
        return
    lr, beta1, beta2, eps, decay = map(float, (lr, beta1, beta2, eps, decay))
    g = g.astype(np.float64) * scale
    m = m + (1 - beta1) * (g - m)
    v = beta2 * v.astype(np.float64) + (1 - beta2) * g * g
    decayed_w = w * np.where(np.arange(size) < decayed, 1 - lr * decay, 1)
    check(arrays, "m", m)
    check(arrays, "v", v)
    check(arrays, "w", decayed_w - lr / float(correction1) * m / (np.sqrt(v) / np.sqrt(float(correction2)) + eps))
    np.testing.assert_array_equal(arrays.read("rounded"), Arrays(False, 2).round(arrays.read("w")))


@KINDS
@pytest.mark.parametrize("width", [40, 264, 77])
def test_embedding(kernels, is_float32, alignment, width):
    arrays = Arrays(is_float32, alignment)
    tokens = np.random.default_rng(0).permutation(np.repeat([0, 1, 3, 4, 6], [1, 100, 64, 3, 65]))
    rows, vocabulary = tokens.size, 7
    d_out = draw(arrays, 1, rows, width)
    before = np.random.default_rng(2).uniform(-2, 2, (vocabulary, width)).astype(np.float32)
    order = np.argsort(tokens, kind="stable")
    launched = kernels.launch(
        "embedding", is_float32, rows, width, vocabulary, arrays.memory.add_input("sorted", tokens[order], 8),
        arrays.memory.add_input("order", order, 8), arrays.input("d_out", d_out),
        arrays.in_place("d_weight", before, as_float=True), memory=arrays.memory)
    assert [name for name, _ in launched] == ["short_runs", "long_runs"]
    exact = before.astype(np.float64)
    np.add.at(exact, tokens, d_out)
    check(arrays, "d_weight", exact, True)
    np.testing.assert_array_equal(arrays.read("d_weight")[[2, 5]], before[[2, 5]])
