"""The reference against PyTorch's softmax over one token's keys at a time, and its derivatives."""

import numpy as np
import pytest
import torch

from . import local_attention_reference as reference

BATCH, LENGTH, HEADS, HEAD_SIZE = 2, 13, 4, 6
CASES = {  # window, key heads, rotary tables, documents
    "plain": (3, 4, 0, False),
    "only itself": (0, 4, 0, False),
    "the whole sequence": (100, 4, 0, False),
    "grouped heads": (4, 2, 0, False),
    "one rotary table": (5, 4, 1, False),
    "documents": (6, 4, 0, True),
    "everything": (5, 1, 2, True),
}


def draw_inputs(window, key_heads, tables, documents):
    generator = np.random.default_rng(1)
    draw = lambda heads: generator.standard_normal((BATCH, LENGTH, heads, HEAD_SIZE))
    inputs = draw(HEADS), draw(key_heads), draw(key_heads), window
    cos = sin = first_token = None
    if tables:
        angles = generator.uniform(-9, 9, (tables, LENGTH, HEAD_SIZE // 2))
        cos, sin = np.cos(angles), np.sin(angles)
    if documents:
        first_token = np.array([[0] * 4 + [4] * 9, [0] + [1] * 6 + [7] * 6])
    return reference.Inputs(*inputs, cos, sin, first_token), draw(HEADS)


def torch_rotate(x, cos, sin):
    """By complex multiplication."""
    if cos is None:
        return x
    turn = torch.complex(torch.from_numpy(cos), torch.from_numpy(sin))[:, :, None]
    turned = torch.complex(*x.chunk(2, dim=-1)) * turn
    return torch.cat([turned.real, turned.imag], dim=-1)


def torch_attention(q, k, v, inputs):
    """Out and log_sum_exp, token by token."""
    group = q.shape[2] // k.shape[2]
    q, k = torch_rotate(q, inputs.cos, inputs.sin), torch_rotate(k, inputs.cos, inputs.sin)
    out, log_sum_exp = torch.zeros_like(q), torch.zeros(BATCH, HEADS, LENGTH, dtype=q.dtype)
    for b, t, h in np.ndindex(BATCH, LENGTH, HEADS):
        first = max(t - inputs.window, 0)
        if inputs.first_token is not None:
            first = max(first, int(inputs.first_token[b, t]))
        scores = k[b, first:t + 1, h // group] @ q[b, t, h] / HEAD_SIZE ** 0.5
        out[b, t, h] = torch.softmax(scores, 0) @ v[b, first:t + 1, h // group]
        log_sum_exp[b, h, t] = torch.logsumexp(scores.detach(), 0)
    return out, log_sum_exp


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_pytorch(case):
    inputs, d_out = draw_inputs(*CASES[case])
    leaves = [torch.from_numpy(x).requires_grad_() for x in (inputs.q, inputs.k, inputs.v)]
    out, log_sum_exp = torch_attention(*leaves, inputs)
    out.backward(torch.from_numpy(d_out))
    expected = [out.detach(), log_sum_exp, *(leaf.grad for leaf in leaves)]
    actual = [*reference.forward(inputs), *reference.backward(inputs, d_out)]
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e.numpy(), rtol=0, atol=1e-12)
