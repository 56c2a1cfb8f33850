"""nvcc's PTX of the shipped kernels against float64, on the fixed list of cases."""

import itertools
import os

import numpy as np
import pytest

from . import local_attention_reference as reference
from .cuda_cases import Case, cuda_cases
from .nvcc import find_nvcc
from .shipped_kernels import ShippedKernels, from_bfloat16, to_bfloat16

pytestmark = pytest.mark.skipif(find_nvcc() is None, reason="nvcc is not there")
LONG = bool(os.environ.get("ZEBRA_LONG_TESTS"))


@pytest.fixture(scope="module")
def kernels():
    return ShippedKernels()


def naive(inputs, d_out, is_float32):
    """The same by plain steps, each result rounded to the type: what a composition of operations gives."""
    rounded = (lambda x: x.astype(np.float32)) if is_float32 else (lambda x: from_bfloat16(to_bfloat16(x)))
    batch, length, heads, head_size = inputs.q.shape
    group = heads // inputs.k.shape[2]
    by_head = lambda x: np.repeat(x, heads // x.shape[2], axis=2).swapaxes(1, 2)
    turned = lambda x: rounded(reference.rotate(x, inputs.cos, inputs.sin))
    q, k, v = by_head(turned(inputs.q)), by_head(turned(inputs.k)), by_head(inputs.v)
    d_out = d_out.swapaxes(1, 2)
    seen = reference.visible(batch, length, inputs.window, inputs.first_token)[:, None]
    scores = np.where(seen, (q @ k.swapaxes(2, 3)) * np.float32(head_size ** -0.5), -np.inf)
    largest = scores.max(-1, keepdims=True)
    weights = np.exp(scores - largest)
    total = weights.sum(-1, keepdims=True)
    log_sum_exp = (largest + np.log(total))[..., 0]
    weights = rounded(weights / total)
    out = rounded(weights @ v)
    d_scores = rounded(weights * (rounded(d_out @ v.swapaxes(2, 3)) - (out * d_out).sum(-1, keepdims=True)) *
                       np.float32(head_size ** -0.5))
    summed = lambda x: x.swapaxes(1, 2).reshape(batch, length, heads // group, group, head_size).sum(3)
    back = (inputs.cos, None if inputs.sin is None else -inputs.sin)
    dq = rounded(reference.rotate(rounded((d_scores @ k).swapaxes(1, 2)), *back))
    dk = rounded(reference.rotate(rounded(summed(d_scores.swapaxes(2, 3) @ q)), *back))
    dv = rounded(summed(weights.swapaxes(2, 3) @ d_out))
    return out.swapaxes(1, 2), log_sum_exp, np.concatenate([dq, dk, dv], axis=2)


def check(kernels, case, **how):
    inputs, packed, d_out = case.draw()
    actual = kernels.run(inputs, packed, d_out, case.is_float32, **how)
    out, log_sum_exp = reference.forward(inputs)
    exact = out, log_sum_exp, np.concatenate(reference.backward(inputs, d_out), axis=2)
    for value, plain, truth in zip(actual, naive(inputs, d_out, case.is_float32), exact, strict=True):
        largest = np.abs(truth).max()
        unit = 1e-6 * (1 + largest) if case.is_float32 else largest / 256
        bound = 2 * np.abs(plain - truth).max() + unit
        assert np.abs(value - truth).max() <= bound  # false for NaN
    return actual


@pytest.mark.parametrize("case", list(cuda_cases()), ids=str)
def test_as_exact_as_naive(kernels, case):
    check(kernels, case)


@pytest.mark.parametrize("head_size", [64, 128])
def test_the_order_of_warps_and_copies_changes_no_bit(kernels, head_size):
    case = Case(150, 70, head_size, 1, 2, 1, 1, True, False)
    first = check(kernels, case)
    for early_copies, warp_order in itertools.product([False, True], ["together", "ascending", "descending"]):
        again = check(kernels, case, early_copies=early_copies, warp_order=warp_order)
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


# Longer sequences are the emulation's (test_emulation "[long]"): there they take a tenth of the time.
@pytest.mark.skipif(not LONG, reason="takes long: scripts/test.sh --long")
@pytest.mark.parametrize("length", [1, 2, 17, 63, 64, 65, 127])
@pytest.mark.parametrize("head_size", [32, 64, 96, 128])
def test_the_full_product(kernels, length, head_size):
    heads = [(False, 2, 1), (False, 1, 4), (False, 1, 8), (True, 1, 1)]
    for window, (is_float32, key_heads, group), documents in itertools.product(
            (0, 1, 15, 16, 63, 64, 100, 512), heads, (False, True)):
        check(kernels, Case(length, window, head_size, key_heads, group, 1, 1, documents, is_float32))
