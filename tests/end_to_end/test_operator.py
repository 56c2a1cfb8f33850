"""The operators as other programs get them: torch.ops.load_library on the shared library."""

import math

import pytest
import torch
from conftest import BUILD

LIBRARY = BUILD / "lib/libzebra_ops.so"


@pytest.fixture(scope="module", autouse=True)
def operators():
    torch.ops.load_library(str(LIBRARY))


def rotate(x, cos, sin):
    """x [B, T, H, D], tables [T, D / 2] or [B, T, D / 2]."""
    low, high = x.chunk(2, -1)
    cos, sin = cos.unsqueeze(-2).to(x.dtype), sin.unsqueeze(-2).to(x.dtype)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)


def definition(q, k, v, window, cos=None, sin=None, first_token=None):
    """Local attention by a dense mask, in the type of q."""
    if cos is not None:
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
    group = q.shape[2] // k.shape[2]
    k, v = (x.repeat_interleave(group, 2) for x in (k, v))
    token = torch.arange(q.shape[1])
    first = (token - window).clamp(min=0).expand(q.shape[:2])
    if first_token is not None:
        first = torch.maximum(first, first_token)
    visible = (token <= token[:, None]) & (token >= first[:, :, None])
    scores = torch.einsum("bthd,bshd->bhts", q, k) / math.sqrt(q.shape[-1])
    weights = scores.masked_fill(~visible[:, None], -math.inf).softmax(-1)
    return torch.einsum("bhts,bshd->bthd", weights, v)


def inputs(batch, length, query_heads, key_heads, head_size, dtype, documents):
    generator = torch.Generator().manual_seed(length)
    packed = torch.randn(batch, length, query_heads + 2 * key_heads, head_size, generator=generator).to(dtype)
    angle = torch.rand(length, head_size // 2, generator=generator) * 6
    first_token = None
    if documents:
        first_token = torch.zeros(batch, length, dtype=torch.int64)
        first_token[:, length // 3:] = length // 3
        first_token[0, length // 2:] = length // 2
    return packed, angle.cos(), angle.sin(), first_token


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("length, window, query_heads, key_heads, head_size, documents",
                         [(1, 3, 2, 2, 64, False), (65, 0, 4, 1, 32, False), (127, 16, 2, 2, 6, True),
                          (200, 63, 8, 2, 64, True), (130, 500, 4, 4, 128, False)])
def test_parity(dtype, length, window, query_heads, key_heads, head_size, documents):
    packed, cos, sin, first_token = inputs(2, length, query_heads, key_heads, head_size, dtype, documents)
    gradient = torch.randn(2, length, query_heads, head_size).to(dtype)

    def run(attention, dtype):
        leaf = packed.to(dtype).requires_grad_()
        q, k, v = leaf.split([query_heads, key_heads, key_heads], 2)
        out = attention(leaf, q, k, v)
        out.backward(gradient.to(dtype))
        return out.detach(), leaf.grad

    by_definition = lambda _, q, k, v: definition(q, k, v, window, cos, sin, first_token)
    exact = run(by_definition, torch.float64)
    naive = run(by_definition, dtype)
    separate = run(lambda _, q, k, v: torch.ops.zebra.local_attention(q, k, v, window, cos, sin, first_token), dtype)
    whole = run(lambda leaf, *_: torch.ops.zebra.packed_local_attention(leaf, query_heads, window, cos, sin,
                                                                        first_token), dtype)
    for ours in (separate, whole):
        for value, reference, truth in zip(ours, naive, exact):
            largest = truth.abs().max()
            unit = 1e-6 * (1 + largest) if dtype == torch.float32 else largest / 256
            bound = 2 * (reference.double() - truth).abs().max() + unit
            assert (value.double() - truth).abs().max() <= bound  # false for NaN
    assert torch.equal(separate[0], whole[0]) and torch.equal(separate[1], whole[1])


def test_opcheck():
    """Schema, autograd registration and meta functions, as PyTorch itself checks an operator."""
    packed, cos, sin, first_token = inputs(1, 40, 4, 2, 16, torch.float32, True)
    q, k, v = (x.detach().requires_grad_() for x in packed.split([4, 2, 2], 2))
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.zebra.local_attention, (q, k, v, 7, cos, sin, first_token), test_utils=tests)
    torch.library.opcheck(torch.ops.zebra.packed_local_attention,
                          (packed.requires_grad_(), 4, 7, cos, sin, first_token), test_utils=tests)


def test_compiled_graph_holds_the_operator():
    graphs = []

    def backend(graph, _):
        graphs.append(graph.code)
        return graph.forward

    packed, cos, sin, _ = inputs(1, 40, 4, 2, 16, torch.float32, False)
    function = lambda x: torch.ops.zebra.packed_local_attention(x * 2, 4, 7, cos, sin).sum()
    compiled = torch.compile(function, backend=backend, fullgraph=True)
    assert torch.equal(compiled(packed), function(packed))
    assert "zebra.packed_local_attention" in graphs[0]


def test_errors_say_what_does_not_fit():
    q, k = torch.randn(1, 6, 4, 8), torch.randn(1, 6, 3, 8)
    with pytest.raises(RuntimeError, match="multiple of the key heads, got 4 and 3"):
        torch.ops.zebra.local_attention(q, k, k, 3)
