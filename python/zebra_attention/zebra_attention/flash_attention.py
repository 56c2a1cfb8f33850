"""FlashAttention's functions on our kernels: those of FlashAttention-2, with the names that FlashAttention-3 adds as
keywords. What the kernels do not compute is refused by name, never approximated."""

import torch

from .operators import first_tokens, local_attention

# Arguments that change the result, and their values that change nothing.
_NEUTRAL = {"dropout_p": 0.0, "softcap": 0.0, "alibi_slopes": None, "return_attn_probs": False, "block_table": None,
            "qv": None, "q_descale": None, "k_descale": None, "v_descale": None, "attention_chunk": 0, "seqused_q": None,
            "seqused_k": None}
# Those that choose how, and not what, is computed. Ours is always deterministic.
_SCHEDULING = {"deterministic", "num_splits", "pack_gqa", "sm_margin", "zero_tensors"}


def flash_attn_func(q, k, v, dropout_p=0.0, softmax_scale=None, causal=False, window_size=(-1, -1), softcap=0.0,
                    alibi_slopes=None, deterministic=False, return_attn_probs=False, *, s_aux=None, **others):
    """q [B, T, Hq, D], k and v [B, T, Hkv, D] to [B, T, Hq, D]. `causal=True`, or a window (W, 0); `s_aux` are attention
    sinks [Hq]. NotImplementedError names what is not supported."""
    _refuse("flash_attn_func", dropout_p=dropout_p, softcap=softcap, alibi_slopes=alibi_slopes,
            return_attn_probs=return_attn_probs, **others)
    if q.shape[1] != k.shape[1]:
        raise NotImplementedError(f"flash_attn_func: queries and keys of different lengths ({q.shape[1]} and "
                                  f"{k.shape[1]}) are not supported by zebra_attention.")
    window = _window("flash_attn_func", causal, window_size, q.shape[1])
    return local_attention(q, k, v, window, sinks=s_aux, scale=softmax_scale)


def flash_attn_varlen_func(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, dropout_p=0.0,
                           softmax_scale=None, causal=False, window_size=(-1, -1), softcap=0.0, alibi_slopes=None,
                           deterministic=False, return_attn_probs=False, block_table=None, *, s_aux=None, **others):
    """The same of documents one after the other: q [tokens, Hq, D], k and v [tokens, Hkv, D]. `cu_seqlens_q` [documents + 1]
    says where each begins, and the number of tokens; `cu_seqlens_k` must be equal to it."""
    name = "flash_attn_varlen_func"
    _refuse(name, dropout_p=dropout_p, softcap=softcap, alibi_slopes=alibi_slopes, return_attn_probs=return_attn_probs,
            block_table=block_table, **others)
    tokens = q.shape[0]
    if k.shape[0] != tokens or cu_seqlens_k.shape != cu_seqlens_q.shape:
        raise NotImplementedError(f"{name}: queries and keys of different documents are not supported by zebra_attention.")
    if cu_seqlens_k is not cu_seqlens_q:
        torch._assert_async((cu_seqlens_k == cu_seqlens_q).all(),
                            f"{name}: cu_seqlens_q and cu_seqlens_k must be equal: queries and keys of different lengths "
                            "are not supported by zebra_attention.")
    # A document without tokens at the end begins behind the last token.
    begins = torch.zeros(tokens + 1, dtype=torch.bool, device=q.device)
    begins = begins.index_fill(0, cu_seqlens_q.to(device=q.device, dtype=torch.int64), True)[:tokens]
    window = min(_window(name, causal, window_size, tokens), max_seqlen_q)  # the kernels' memory grows with it
    out = local_attention(q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0), window, first_token=first_tokens(begins)[None],
                          sinks=s_aux, scale=softmax_scale)
    return out.squeeze(0)


def _refuse(function, **arguments):
    unknown = arguments.keys() - _NEUTRAL.keys() - _SCHEDULING
    if unknown:
        raise TypeError(f"{function}() got unexpected keyword arguments: {', '.join(sorted(unknown))}")
    for name in arguments.keys() & _NEUTRAL.keys():
        value, neutral = arguments[name], _NEUTRAL[name]
        if value is not neutral and (neutral is None or value != neutral):
            raise NotImplementedError(f"{function}: {name} is not supported by zebra_attention (leave it at {neutral}).")


def _window(function, causal, window_size, length):
    """Earlier tokens that a token sees, of FlashAttention's (left, right), in which -1 is all."""
    left, right = window_size
    if not causal and right != 0:
        raise NotImplementedError(f"{function}: attention to later tokens (causal=False, window_size={tuple(window_size)}) is "
                                  "not supported by zebra_attention; give causal=True or a window (W, 0).")
    return length if left < 0 else left
