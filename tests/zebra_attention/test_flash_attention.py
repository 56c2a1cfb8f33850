"""FlashAttention's signatures."""

import inspect

import pytest
import torch
from reference import assert_as_exact_as_the_naive_form, attention, results

from zebra_attention import first_tokens, flash_attn_func, flash_attn_varlen_func

LENGTH = 70


def heads(*shape):
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(*shape, count, 16, generator=generator) for count in (4, 2, 2, 4)]


@pytest.mark.parametrize("options, window", [
    ({"causal": True}, LENGTH), ({"causal": True, "window_size": (9, 0)}, 9), ({"window_size": (9, 0)}, 9),
    ({"causal": True, "window_size": (9, 3)}, 9), ({"causal": True, "window_size": (0, 0)}, 0),
    ({"window_size": (-1, 0)}, LENGTH)])
def test_windows(options, window):
    *tensors, gradient = heads(2, LENGTH)
    sinks = torch.randn(4)
    by_definition = lambda q, k, v, s: attention(q, k, v, window, sinks=s, scale=0.3)
    ours = lambda q, k, v, s: flash_attn_func(q, k, v, softmax_scale=0.3, s_aux=s, **options)
    assert_as_exact_as_the_naive_form(*(results(f, t, gradient, *tensors, sinks) for f, t in (
        (ours, torch.float32), (by_definition, torch.float32), (by_definition, torch.float64))), torch.float32)


@pytest.mark.parametrize("lengths", [[70], [1, 30, 39], [5, 0, 64, 1, 0], [0, 70]])
@pytest.mark.parametrize("window_size", [(-1, -1), (4, 0)])
def test_documents(lengths, window_size):
    *tensors, gradient = heads(LENGTH)
    bounds = torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)
    window = LENGTH if window_size[0] < 0 else window_size[0]

    def one_by_one(q, k, v):
        parts = [attention(*(x[None, begin:end] for x in (q, k, v)), window)[0] for begin, end in zip(bounds, bounds[1:])]
        return torch.cat(parts)

    def ours(q, k, v):
        return flash_attn_varlen_func(q, k, v, bounds, bounds.clone(), max(lengths), max(lengths), causal=True,
                                      window_size=window_size)

    assert_as_exact_as_the_naive_form(*(results(f, t, gradient, *tensors) for f, t in (
        (ours, torch.float32), (one_by_one, torch.float32), (one_by_one, torch.float64))), torch.float32)


def test_first_tokens():
    begins = torch.tensor([[0, 0, 1, 0, 1, 1, 0], [1, 0, 0, 0, 0, 0, 0]], dtype=torch.bool)
    assert first_tokens(begins).tolist() == [[0, 0, 2, 2, 4, 5, 5], [0] * 7]


@pytest.mark.parametrize("name, value", [("dropout_p", 0.1), ("softcap", 30.0), ("alibi_slopes", torch.ones(4)),
                                         ("return_attn_probs", True), ("qv", torch.ones(1)), ("k_descale", torch.ones(1)),
                                         ("attention_chunk", 8)])
def test_refusals_name_the_argument(name, value):
    q, k, v, _ = heads(1, LENGTH)
    with pytest.raises(NotImplementedError, match=name):
        flash_attn_func(q, k, v, causal=True, **{name: value})


def test_other_refusals():
    q, k, v, _ = heads(1, LENGTH)
    for options in ({}, {"window_size": (9, 9)}, {"window_size": (9, -1)}):
        with pytest.raises(NotImplementedError, match="later tokens"):
            flash_attn_func(q, k, v, **options)
    with pytest.raises(NotImplementedError, match="different lengths"):
        flash_attn_func(q[:, -1:], k, v, causal=True)
    with pytest.raises(TypeError, match="cuasal"):
        flash_attn_func(q, k, v, cuasal=True)
    bounds, others = torch.tensor([0, 30, 70]), torch.tensor([0, 31, 70])
    with pytest.raises(RuntimeError, match="must be equal"):
        flash_attn_varlen_func(q[0], k[0], v[0], bounds, others, 40, 40, causal=True)


def test_scheduling_arguments_change_nothing():
    q, k, v, _ = heads(1, LENGTH)
    assert torch.equal(flash_attn_func(q, k, v, causal=True, deterministic=True, num_splits=3, pack_gqa=True, sm_margin=1),
                       flash_attn_func(q, k, v, causal=True))


def test_positions_of_flash_attention_2():
    """Callers give these by position."""
    names = list(inspect.signature(flash_attn_func).parameters)
    assert names[:11] == ["q", "k", "v", "dropout_p", "softmax_scale", "causal", "window_size", "softcap", "alibi_slopes",
                          "deterministic", "return_attn_probs"]
    names = list(inspect.signature(flash_attn_varlen_func).parameters)
    assert names[:16] == ["q", "k", "v", "cu_seqlens_q", "cu_seqlens_k", "max_seqlen_q", "max_seqlen_k", "dropout_p",
                          "softmax_scale", "causal", "window_size", "softcap", "alibi_slopes", "deterministic",
                          "return_attn_probs", "block_table"]
