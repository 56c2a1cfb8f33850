"""Local attention forward and backward in float64, as local_attention.h defines them.

Arrays are [batch, length, heads, head_size], with fewer heads in k and v where query heads share a
key head. Cosines and sines are [batch or 1, length, head_size / 2], first_token [batch, length].
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Inputs:
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    window: int  # earlier tokens that a token sees
    cos: np.ndarray | None = None
    sin: np.ndarray | None = None
    first_token: np.ndarray | None = None


def visible(batch, length, window, first_token=None):
    """[batch, token, key]: whether the token sees the key."""
    token = np.arange(length)
    first = np.broadcast_to(token - window, (batch, length))
    if first_token is not None:
        first = np.maximum(first, first_token)
    return (token >= first[:, :, None]) & (token <= token[:, None])


def rotate(x, cos, sin):
    """Turns the pairs (j, j + half) of each head."""
    if cos is None:
        return x
    cos, sin = cos[:, :, None], sin[:, :, None]
    low, high = np.split(x, 2, axis=-1)
    return np.concatenate([low * cos - high * sin, high * cos + low * sin], axis=-1)


def forward(inputs):
    """out, and log_sum_exp [batch, query head, token]."""
    _, _, v, scores = _scores(inputs)
    log_sum_exp = np.logaddexp.reduce(scores, axis=-1)
    weights = np.exp(scores - log_sum_exp[..., None])
    return (weights @ v).swapaxes(1, 2), log_sum_exp


def backward(inputs, d_out):
    """The derivatives of sum(out * d_out) with respect to q, k and v."""
    q, k, v, scores = _scores(inputs)
    d_out = d_out.astype(np.float64).swapaxes(1, 2)
    weights = np.exp(scores - np.logaddexp.reduce(scores, axis=-1)[..., None])
    d_weights = d_out @ v.swapaxes(2, 3)
    mean = (weights * d_weights).sum(axis=-1, keepdims=True)
    d_scores = weights * (d_weights - mean) / np.sqrt(q.shape[-1])
    key_heads = inputs.k.shape[2]
    dq = (d_scores @ k).swapaxes(1, 2)
    dk = _sum_groups(d_scores.swapaxes(2, 3) @ q, key_heads)
    dv = _sum_groups(weights.swapaxes(2, 3) @ d_out, key_heads)
    back = inputs.cos, None if inputs.sin is None else -inputs.sin
    return rotate(dq, *back), rotate(dk, *back), dv


def _scores(inputs):
    """Rotated q and k, and v, each [batch, query head, token, head_size] in float64; the scores."""
    batch, length, heads, head_size = inputs.q.shape
    q, k, v = (x.astype(np.float64) for x in (inputs.q, inputs.k, inputs.v))
    q, k = rotate(q, inputs.cos, inputs.sin), rotate(k, inputs.cos, inputs.sin)
    k, v = (np.repeat(x, heads // x.shape[2], axis=2) for x in (k, v))
    q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
    scores = q @ k.swapaxes(2, 3) / np.sqrt(head_size)
    mask = visible(batch, length, inputs.window, inputs.first_token)
    return q, k, v, np.where(mask[:, None], scores, -np.inf)


def _sum_groups(x, key_heads):
    """[batch, query head, token, ...] to [batch, token, key head, ...]."""
    batch, heads, length, head_size = x.shape
    groups = x.reshape(batch, key_heads, heads // key_heads, length, head_size)
    return groups.sum(axis=2).swapaxes(1, 2)
