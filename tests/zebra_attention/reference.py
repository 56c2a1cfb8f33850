"""Local attention by its definition, with a dense mask, in the type of q; and the rule by which results are judged."""

import math

import torch


def rotate(x, cos, sin):
    """x [B, T, H, D], tables [T, D / 2] or [B, T, D / 2]."""
    low, high = x.chunk(2, -1)
    cos, sin = cos.unsqueeze(-2).to(x.dtype), sin.unsqueeze(-2).to(x.dtype)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)


def attention(q, k, v, window, cos=None, sin=None, first_token=None, sinks=None, scale=None):
    if cos is not None:
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
    group = q.shape[2] // k.shape[2]
    k, v = (x.repeat_interleave(group, 2) for x in (k, v))
    token = torch.arange(q.shape[1])
    first = (token - window).clamp(min=0).expand(q.shape[:2])
    if first_token is not None:
        first = torch.maximum(first, first_token)
    visible = (token <= token[:, None]) & (token >= first[:, :, None])
    scores = torch.einsum("bthd,bshd->bhts", q, k) * (q.shape[-1] ** -0.5 if scale is None else scale)
    scores = scores.masked_fill(~visible[:, None], -math.inf)
    if sinks is not None:
        sink = sinks.to(scores.dtype).view(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        scores = torch.cat((scores, sink), -1)
    return torch.einsum("bhts,bshd->bthd", scores.softmax(-1)[..., :q.shape[1]], v)


def results(function, dtype, gradient, *tensors):
    """The function's result and the gradients of all tensors, which it is given in dtype."""
    leaves = [x.detach().to(dtype).requires_grad_() for x in tensors]
    out = function(*leaves)
    out.backward(gradient.to(dtype))
    return [out.detach(), *(leaf.grad for leaf in leaves)]


def assert_as_exact_as_the_naive_form(ours, naive, exact, dtype, summed=None):
    """Each error at most twice that of the naive form in the same precision; and a unit of the last place, for the naive
    form may be right by chance. The last result is a sum of `summed` numbers that were rounded before: its unit grows as
    their random errors do. False for NaN."""
    for i, (value, reference, truth) in enumerate(zip(ours, naive, exact, strict=True)):
        assert value.dtype == dtype and value.shape == truth.shape
        if not truth.numel():
            continue
        largest = truth.abs().max()
        unit = 1e-6 * (1 + largest) if dtype == torch.float32 else largest / 256
        if summed is not None and i == len(exact) - 1:
            unit *= math.sqrt(summed)
        bound = 2 * (reference.double() - truth).abs().max() + unit
        error = (value.double() - truth).abs().max()
        assert error <= bound, f"result {i}: error {error:.3g}, allowed {bound:.3g}"
