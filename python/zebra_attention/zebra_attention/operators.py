"""The operator: the kernels with gradients, fake functions, attention sinks and a scale of the caller's.

The compiled libraries know plain tensors alone. What LibTorch's stable ABI has no words for (autograd, symbolic sizes) is
here, and so are sinks: they follow from the result without them.
"""

import math
import pathlib
from typing import Optional

import torch
from torch import Tensor

_FOLDER = pathlib.Path(__file__).parent
_CUDA_LIBRARY = _FOLDER / "libzebra_attention_cuda.so"

torch.ops.load_library(str(_FOLDER / "libzebra_attention_cpu.so"))
_HEAD_SIZES = {"cpu": range(2, 257, 2)}  # as csrc_kernels has them
if torch.version.cuda is not None and _CUDA_LIBRARY.exists():
    torch.ops.load_library(str(_CUDA_LIBRARY))
    _HEAD_SIZES["cuda"] = (32, 64, 96, 128)


def has_kernel(device_type: str, dtype: torch.dtype, head_size: int) -> bool:
    """Whether there is a kernel for tensors of this kind, in this installation."""
    return dtype in (torch.float32, torch.bfloat16) and head_size in _HEAD_SIZES.get(device_type, ())


def first_tokens(begins: Tensor) -> Tensor:
    """[..., T] int64 for `first_token`, from where documents begin (bool, [..., T]). The first token always begins one."""
    token = torch.arange(begins.shape[-1], device=begins.device)
    return torch.where(begins, token, 0).cummax(-1).values


def local_attention(q: Tensor, k: Tensor, v: Tensor, window: int, *, cos: Optional[Tensor] = None,
                    sin: Optional[Tensor] = None, first_token: Optional[Tensor] = None,
                    sinks: Optional[Tensor] = None, scale: Optional[float] = None) -> Tensor:
    """Causal attention in which a token sees itself and up to `window` earlier tokens of its document.

    q [B, T, Hq, D], k and v [B, T, Hkv, D] with Hq a multiple of Hkv, all float32 or all bfloat16, of any strides; a result
    [B, T, Hq, D]. Differentiable once, in q, k, v and sinks. Under autocast q, k and v become autocast's type.

    cos, sin      [T, D / 2] or [B, T, D / 2] float32: q and k are rotated inside the kernel, element j with j + D / 2
    first_token   [B, T] int64: where each token's document begins in its sequence (`first_tokens` makes it); on CUDA its
                  values are not checked
    sinks         [Hq]: one more logit of each query head in the softmax, with nothing behind it
    scale         of the scores, positive; D ** -0.5 unless given

    ValueError or RuntimeError with a sentence for arguments that do not fit. Window W is `window_size=(W, 0)` of
    FlashAttention and `sliding_window = W + 1` of transformers. The exact definition, with its rounding, is
    csrc_kernels/include/zebra_kernels/local_attention.h.
    """
    q, k, v = _in_autocast_type(q, k, v)
    cos, sin = _scaled_tables(q, cos, sin, scale)
    _check_sinks(sinks, q.shape[2])
    return _attention(q, k, v, 0, window, cos, sin, first_token, sinks)[0]


def packed_local_attention(qkv: Tensor, query_heads: int, window: int, *, cos: Optional[Tensor] = None,
                           sin: Optional[Tensor] = None, first_token: Optional[Tensor] = None,
                           sinks: Optional[Tensor] = None, scale: Optional[float] = None) -> Tensor:
    """`local_attention` of one projection [B, T, Hq + 2 Hkv, D], read in place: queries, then keys, then values. So is its
    gradient written, which saves joining three."""
    (qkv,) = _in_autocast_type(qkv)
    cos, sin = _scaled_tables(qkv, cos, sin, scale)
    _check_sinks(sinks, query_heads)
    return _attention(qkv, None, None, query_heads, window, cos, sin, first_token, sinks)[0]


def _in_autocast_type(*tensors):
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return tensors
    return tuple(x.to(torch.get_autocast_dtype(device)) for x in tensors)


def _scaled_tables(q, cos, sin, scale):
    """The kernels divide scores by sqrt(D). A rotation of q and k that also stretches both by a factor multiplies scores by
    its square, and costs no pass over memory: without tables one by no angle."""
    if scale is None:
        return cos, sin
    if not 0 < scale < math.inf:
        raise ValueError(f"local attention: the scale must be positive, got {scale}.")
    stretch = scale * q.shape[3] ** 0.5
    if abs(stretch - 1) < 1e-12:
        return cos, sin
    factor = stretch ** 0.5
    if cos is None:
        cos = torch.full((q.shape[1], q.shape[3] // 2), factor, dtype=torch.float32, device=q.device)
        return cos, torch.zeros_like(cos)
    return cos * factor, None if sin is None else sin * factor


def _check_sinks(sinks, query_heads):
    if sinks is not None and (sinks.shape != (query_heads,) or not sinks.is_floating_point()):
        raise ValueError(f"local attention: sinks must be floating point [Hq] = [{query_heads}], got {sinks.dtype} "
                         f"{list(sinks.shape)}.")


def _saved_bytes(q, key_heads):
    """Of what the forward leaves for the backward: local_attention_saved_bytes of csrc_kernels, which cannot count in
    symbolic sizes."""
    if q.device.type != "cuda" or q.dtype != torch.bfloat16:
        return 0
    tokens = q.shape[0] * ((q.shape[1] + 127) // 128 * 128)
    rotated_keys, first_visible, bounds = tokens * key_heads * q.shape[3] * 2, tokens * 4, tokens // 32 * 8
    return rotated_keys + first_visible + (bounds + 255) // 256 * 256


# With query_heads = 0 q, k and v are tensors of their own, else q is the whole projection.


@torch.library.custom_op("zebra_attention::local_attention", mutates_args=())
def _attention(q: Tensor, k: Optional[Tensor], v: Optional[Tensor], query_heads: int, window: int, cos: Optional[Tensor],
               sin: Optional[Tensor], first_token: Optional[Tensor],
               sinks: Optional[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Output, log-sum-exps [B, Hq, T] of the scores (and the sink), and what the kernel leaves for the backward."""
    out, log_sum_exp, saved = torch.ops.zebra_attention.forward(q, k, v, query_heads, window, cos, sin, first_token)
    if sinks is None:
        return out, log_sum_exp, saved
    sink = sinks.float().view(1, -1, 1)
    share = torch.sigmoid(log_sum_exp - sink).transpose(1, 2).unsqueeze(-1)
    return (out * share).to(out.dtype), torch.logaddexp(log_sum_exp, sink), saved


@_attention.register_fake
def _(q, k, v, query_heads, window, cos, sin, first_token, sinks):
    batch, length, heads, head_size = q.shape
    key_heads = (heads - query_heads) // 2 if k is None else k.shape[2]
    heads = heads if k is not None else query_heads
    return (q.new_empty((batch, length, heads, head_size)), q.new_empty((batch, heads, length), dtype=torch.float32),
            q.new_empty((_saved_bytes(q, key_heads),), dtype=torch.uint8))


@torch.library.custom_op("zebra_attention::local_attention_backward", mutates_args=())
def _attention_backward(d_out: Tensor, q: Tensor, k: Optional[Tensor], v: Optional[Tensor], query_heads: int, window: int,
                        cos: Optional[Tensor], sin: Optional[Tensor], first_token: Optional[Tensor], out: Tensor,
                        log_sum_exp: Tensor, saved: Tensor, has_sink: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v; of a projection its own and two tensors without elements."""
    return torch.ops.zebra_attention.backward(d_out, q, k, v, query_heads, window, cos, sin, first_token, out, log_sum_exp,
                                              saved, has_sink)


@_attention_backward.register_fake
def _(d_out, q, k, v, query_heads, window, cos, sin, first_token, out, log_sum_exp, saved, has_sink):
    return tuple(q.new_empty(0) if x is None else x.new_empty(x.shape) for x in (q, k, v))


def _keep_for_backward(ctx, inputs, output):
    q, k, v, ctx.query_heads, ctx.window, cos, sin, first_token, sinks = inputs
    out, log_sum_exp, saved = output
    ctx.mark_non_differentiable(log_sum_exp, saved)
    ctx.save_for_backward(q, k, v, cos, sin, first_token, sinks, out, log_sum_exp, saved)


def _differentiate(ctx, d_out, d_log_sum_exp, d_saved):
    """With the output and the log-sum-exp that count the sink the kernel computes the gradients with sinks."""
    q, k, v, cos, sin, first_token, sinks, out, log_sum_exp, saved = ctx.saved_tensors
    dq, dk, dv = _attention_backward(d_out, q, k, v, ctx.query_heads, ctx.window, cos, sin, first_token, out, log_sum_exp,
                                     saved, sinks is not None)
    d_sinks = None
    if sinks is not None:
        weight = torch.exp(sinks.float().view(1, -1, 1) - log_sum_exp)
        dot = (d_out.float() * out.float()).sum(-1)
        d_sinks = -(weight * dot.transpose(1, 2)).sum((0, 2)).to(sinks.dtype)
    return dq, None if k is None else dk, None if v is None else dv, None, None, None, None, None, d_sinks


_attention.register_autograd(_differentiate, setup_context=_keep_for_backward)
