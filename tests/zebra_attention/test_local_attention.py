"""The operator: results and gradients against float64, and what torch itself asks of an operator."""

import pytest
import torch
from reference import assert_as_exact_as_the_naive_form, attention, results

from zebra_attention import first_tokens, has_kernel, local_attention, packed_local_attention

TYPES = [torch.float32, torch.bfloat16]
# batch, length, window, query heads, key heads, head size, documents, sinks, rotary, scale
CASES = [(2, 1, 3, 2, 2, 64, False, False, True, None),
         (2, 65, 0, 4, 1, 32, False, False, True, None),
         (2, 127, 16, 2, 2, 6, True, False, True, None),
         (2, 200, 63, 8, 2, 64, True, True, True, None),
         (1, 130, 129, 4, 4, 128, False, True, False, None),
         (1, 130, 5000, 4, 2, 128, True, False, False, None),
         (3, 77, 7, 6, 3, 16, True, True, False, 0.3),
         (1, 96, 31, 2, 1, 256, False, False, False, 1.0 / 256),
         (2, 66, 12, 2, 1, 80, False, True, True, 0.25),
         (1, 0, 5, 2, 1, 16, False, False, False, None)]


def make(batch, length, query_heads, key_heads, head_size, documents, sinks, rotary):
    generator = torch.Generator().manual_seed(length + head_size)
    packed = torch.randn(batch, length, query_heads + 2 * key_heads, head_size, generator=generator)
    angle = torch.rand(length, head_size // 2, generator=generator) * 6
    tables = {"cos": angle.cos(), "sin": angle.sin()} if rotary else {}
    first_token = None
    if documents:
        begins = torch.rand(batch, length, generator=generator) < 0.03
        begins[:, length // 3] = True
        first_token = first_tokens(begins)
    sink = torch.randn(query_heads, generator=generator) if sinks else None
    gradient = torch.randn(batch, length, query_heads, head_size, generator=generator)
    return packed, tables, first_token, sink, gradient


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("batch, length, window, query_heads, key_heads, head_size, documents, sinks, rotary, scale", CASES)
def test_results_and_gradients(dtype, batch, length, window, query_heads, key_heads, head_size, documents, sinks, rotary,
                               scale):
    packed, options, first_token, sink, gradient = make(batch, length, query_heads, key_heads, head_size, documents, sinks,
                                                        rotary)
    packed, gradient = packed.to(dtype), gradient.to(dtype)
    options |= {"first_token": first_token, "scale": scale}
    tensors = (packed,) if sink is None else (packed, sink.to(dtype))

    def split(function):
        def call(leaf, sinks=None):
            return function(*leaf.split([query_heads, key_heads, key_heads], 2), window, sinks=sinks, **options)
        return call

    exact = results(split(attention), torch.float64, gradient, *tensors)
    naive = results(split(attention), dtype, gradient, *tensors)
    separate = results(split(local_attention), dtype, gradient, *tensors)
    whole = results(lambda leaf, sinks=None: packed_local_attention(leaf, query_heads, window, sinks=sinks, **options),
                    dtype, gradient, *tensors)
    # The gradient of a sink is a sum over all tokens of products with the rounded output.
    assert_as_exact_as_the_naive_form(separate, naive, exact, dtype, summed=None if sink is None else batch * length)
    assert all(torch.equal(a, b) for a, b in zip(separate, whole, strict=True))


def test_any_strides():
    """Heads before tokens, gaps between elements, a gradient that was expanded."""
    q, k, v = torch.randn(3, 2, 4, 40, 16).unbind(0)
    contiguous = results(lambda *x: local_attention(*x, 9), torch.float32, torch.ones(2, 40, 4, 16),
                         *(x.transpose(1, 2).contiguous() for x in (q, k, v)))
    transposed = [x.detach().requires_grad_() for x in (q, k, v)]
    local_attention(*(x.transpose(1, 2) for x in transposed), 9).sum().backward()
    for x, expected in zip(transposed, contiguous[1:], strict=True):
        assert torch.equal(x.grad.transpose(1, 2), expected)
    apart = [torch.stack((x.transpose(1, 2), x.transpose(1, 2)), -1).select(-1, 0) for x in (q, k, v)]
    assert torch.equal(local_attention(*apart, 9), contiguous[0])


def test_needs_no_gradient():
    q, k, v = torch.randn(3, 1, 20, 2, 8).unbind(0)
    assert not local_attention(q, k, v, 5).requires_grad
    with torch.inference_mode():
        local_attention(q, k, v, 5, sinks=torch.zeros(2))
    k.requires_grad_()
    local_attention(q, k, v, 5).sum().backward()
    assert k.grad.abs().sum() > 0


@pytest.mark.parametrize("key_heads, documents, sinks", [(2, True, True), (4, False, False)])
def test_opcheck(key_heads, documents, sinks):
    """Schema, autograd registration, fake functions, and tracing with and without dynamic shapes, as PyTorch checks them."""
    packed, tables, first_token, sink, _ = make(1, 40, 4, key_heads, 16, documents, sinks, True)
    sink = None if sink is None else sink.requires_grad_()
    q, k, v = (x.detach().requires_grad_() for x in packed.split([4, key_heads, key_heads], 2))
    rest = (7, tables["cos"], tables["sin"], first_token, sink)
    torch.library.opcheck(torch.ops.zebra_attention.local_attention.default, (q, k, v, 0, *rest))
    torch.library.opcheck(torch.ops.zebra_attention.local_attention.default, (packed.requires_grad_(), None, None, 4, *rest))


@pytest.mark.filterwarnings("ignore:Input .* is not a double precision")
def test_gradcheck():
    """In float32, the finest type that there are kernels for; so with large steps and few digits."""
    packed, tables, first_token, sink, _ = make(1, 9, 2, 1, 4, True, True, True)
    arguments = (packed.requires_grad_(), sink.requires_grad_())
    function = lambda x, s: packed_local_attention(x, 2, 4, sinks=s, first_token=first_token, scale=0.4, **tables)
    assert torch.autograd.gradcheck(function, arguments, eps=1e-2, atol=2e-3, rtol=2e-3, check_undefined_grad=False)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_compiled_whole_and_for_any_size():
    def function(x, s):
        q, k, v = (x * 2).split([4, 2, 2], 2)
        first_token = first_tokens(torch.arange(x.shape[1]).expand(x.shape[:2]) % 11 == 0)
        out = local_attention(q, k, v, 7, sinks=s, first_token=first_token, scale=0.5)
        return out + packed_local_attention(x, 4, x.shape[1])

    graphs = []

    def count(graph, _):
        graphs.append(graph)
        return graph.forward

    from torch._dynamo.backends.debugging import aot_eager
    compiled = torch.compile(function, backend=aot_eager, fullgraph=True, dynamic=True)
    torch.compile(function, backend=count, fullgraph=True)(torch.randn(1, 12, 8, 16), torch.zeros(4))
    assert len(graphs) == 1 and "zebra_attention.local_attention" in graphs[0].code
    for batch, length in ((1, 40), (2, 65), (3, 128)):
        tensors, gradient = (torch.randn(batch, length, 8, 16), torch.randn(4)), torch.randn(batch, length, 4, 16)
        plain, traced = (results(f, torch.float32, gradient, *tensors) for f in (function, compiled))
        for a, b in zip(plain, traced, strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_autocast():
    q, k, v = torch.randn(1, 20, 2, 16), torch.randn(1, 20, 2, 16).bfloat16(), torch.randn(1, 20, 2, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = local_attention(q, k, v, 5)
    assert torch.equal(out, local_attention(q.bfloat16(), k, v.bfloat16(), 5))


def test_same_bits_for_every_number_of_threads():
    packed, tables, first_token, _, gradient = make(1, 700, 4, 2, 32, True, False, True)
    function = lambda x: packed_local_attention(x, 4, 100, first_token=first_token, **tables)
    before = torch.get_num_threads()
    try:
        outcomes = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            outcomes.append(results(function, torch.bfloat16, gradient, packed))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*outcomes, strict=True))


def test_kernels_exist_as_said():
    for head_size in (1, 2, 96, 256, 258):
        q = torch.randn(1, 3, 1, head_size)
        assert has_kernel("cpu", torch.float32, head_size) == (head_size in (2, 96, 256))
        if has_kernel("cpu", torch.float32, head_size):
            local_attention(q, q, q, 1)
        else:
            with pytest.raises((ValueError, RuntimeError), match="head size must be even"):
                local_attention(q, q, q, 1)
    assert not has_kernel("cpu", torch.float16, 64) and not has_kernel("mps", torch.float32, 64)


Q, K = torch.randn(1, 6, 4, 8), torch.randn(1, 6, 2, 8)
TABLE = torch.ones(6, 4)


@pytest.mark.parametrize("message, call", [
    ("multiple of the key heads, got 4 and 3", lambda: local_attention(Q, Q[:, :, 1:], Q[:, :, 1:], 3)),
    ("must agree in B, T and D", lambda: local_attention(Q, K[:, 1:], K[:, 1:], 3)),
    (r"k and v \[B, T, Hkv, D\], got", lambda: local_attention(Q, K, K[..., :4], 3)),
    ("all float32 or all bfloat16, got Double, Double and Double",
     lambda: local_attention(Q.double(), K.double(), K.double(), 3)),
    ("all float32 or all bfloat16", lambda: local_attention(Q, K.bfloat16(), K, 3)),
    ("cannot be negative, got -1", lambda: local_attention(Q, K, K, -1)),
    ("given together", lambda: local_attention(Q, K, K, 3, cos=TABLE)),
    (r"\[T, D / 2\]", lambda: local_attention(Q, K, K, 3, cos=TABLE[1:], sin=TABLE[1:])),
    (r"first_token must be int64 \[B, T\], got Float", lambda: local_attention(Q, K, K, 3, first_token=torch.zeros(1, 6))),
    ("between 0 and the token itself", lambda: local_attention(Q, K, K, 3, first_token=torch.full((1, 6), 2))),
    ("Hq", lambda: packed_local_attention(Q, 3, 3)),
    (r"sinks must be floating point \[Hq\] = \[4\]", lambda: local_attention(Q, K, K, 3, sinks=torch.zeros(2))),
    ("scale must be positive", lambda: local_attention(Q, K, K, 3, scale=-1.0)),
])
def test_errors_say_what_does_not_fit(message, call):
    with pytest.raises((ValueError, RuntimeError), match=message):
        call()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("dtype", TYPES)
def test_on_cuda(dtype):
    packed, tables, first_token, sink, gradient = make(2, 200, 8, 2, 64, True, True, True)
    tensors = (packed.to(dtype), sink.to(dtype))

    def on(device, function):
        options = {name: x.to(device) for name, x in (tables | {"first_token": first_token}).items()}
        call = lambda x, s: function(*x.split([8, 2, 2], 2), 63, sinks=s, **options)
        return [x.cpu() for x in results(call, dtype, gradient.to(device), *(x.to(device) for x in tensors))]

    exact = results(lambda x, s: attention(*x.split([8, 2, 2], 2), 63, sinks=s, first_token=first_token, **tables),
                    torch.float64, gradient, *tensors)
    assert_as_exact_as_the_naive_form(on("cuda", local_attention), on("cpu", attention), exact, dtype, summed=400)
    on_gpu = [x.cuda().requires_grad_() for x in tensors]
    rest = (63, tables["cos"].cuda(), tables["sin"].cuda(), first_token.cuda(), on_gpu[1])
    torch.library.opcheck(torch.ops.zebra_attention.local_attention.default, (on_gpu[0], None, None, 8, *rest))
