"""`attn_implementation="zebra"` for transformers: an attention function and a mask function.

The mask function says all that a mask says in one number for each token, the first that it sees: [B, T] int64 in place of
[B, 1, T, T]. What a query sees then ends with itself. Documents of packed sequences, padding on the left and the window
itself are such masks. It reads them off transformers' own mask function at a few places of each row, and compares others:
a mask that sees later tokens is refused. What cannot be one number is a mask as `sdpa` has it, and attention then is
`sdpa` too.
"""

import inspect
import warnings

import torch
from torch.nn import functional

from .operators import first_tokens, has_kernel, local_attention

_NAME = "zebra"


def register():
    """Makes the name known to transformers. Warns where transformers is too old to call us as we expect."""
    try:
        from transformers import AttentionInterface, AttentionMaskInterface
        from transformers.masking_utils import sdpa_mask
    except ImportError as error:
        warnings.warn(f'zebra_attention: no attn_implementation="{_NAME}" in this transformers: {error}')
        return
    if "q_length" not in inspect.signature(sdpa_mask).parameters:
        warnings.warn(f'zebra_attention: no attn_implementation="{_NAME}" in this transformers: it is older than 5.24')
        return
    AttentionInterface.register(_NAME, attention)
    AttentionMaskInterface.register(_NAME, mask)


def mask(batch_size, q_length, kv_length, q_offset=0, kv_offset=0, mask_function=None, attention_mask=None, local_size=None,
         use_vmap=False, device="cpu", **others):
    """None where every token sees all before it; [B, T] int64, the first token that each sees; or, where that does not say
    it (a cache, gaps in the padding), a mask [B, 1, Tq, Tk] of bool."""
    from transformers.masking_utils import causal_mask_function, sdpa_mask

    if use_vmap:
        _refuse("a mask of the model's own (or_mask_function, and_mask_function)")
    if mask_function is None:
        mask_function = causal_mask_function

    def dense():
        return sdpa_mask(batch_size, q_length, kv_length, q_offset=q_offset, kv_offset=kv_offset,
                         mask_function=mask_function, attention_mask=attention_mask, allow_is_causal_skip=False,
                         device=device)

    with_cache = q_length != kv_length or isinstance(q_offset, torch.Tensor) or q_offset != kv_offset
    if with_cache or (attention_mask is not None and attention_mask.shape[1] != kv_length):
        return dense()
    if mask_function is causal_mask_function and attention_mask is None:
        return None

    first, causal = _first_visible(mask_function, batch_size, kv_length, local_size, device)
    single_run = torch.ones((), dtype=torch.bool, device=device)
    if attention_mask is not None:
        real = attention_mask.bool()
        single_run = ((real & ~functional.pad(real, (1, 0))[:, :-1]).sum(-1) <= 1).all()
        # Padding sees itself alone: its row means nothing, but must be numbers.
        first = torch.minimum(torch.maximum(first, real.int().argmax(-1, keepdim=True)), _tokens(kv_length, device))
    if torch.compiler.is_compiling():
        # A graph cannot branch on values: what is refused otherwise stops it.
        torch._assert_async(causal, "zebra_attention: a mask that sees later tokens is not supported.")
        torch._assert_async(single_run, "zebra_attention: under torch.compile padding must not have gaps.")
        return first
    if not causal:
        _refuse("a mask that sees later tokens")
    if not single_run:
        return dense()
    return first if first.any() else None


def _tokens(length, device):
    return torch.arange(length, device=device)[None]


def _first_visible(mask_function, batch_size, length, local_size, device):
    """[B, T]: the first token that each token sees, and whether it sees from there to itself, as far as some places tell."""
    sequence = torch.arange(batch_size, device=device)[:, None]
    head = torch.zeros((1, 1), dtype=torch.int64, device=device)
    token = _tokens(length, device)

    def sees(key):
        return mask_function(sequence, head, token, key.clamp(0, length - 1)).expand(batch_size, length)

    # A new document begins at a token that does not see the one before it.
    first = first_tokens(~sees(token - 1))
    if local_size is not None:
        first = torch.maximum(first, token - (local_size - 1))
    last = torch.full_like(token, length - 1)
    causal = sees(token) & sees(first) & (~sees(first - 1) | (first == 0))
    causal &= (~sees(token + 1) & ~sees(last)) | (token == last)
    return first, causal.all()


def attention(module, query, key, value, attention_mask, dropout=0.0, scaling=None, sliding_window=None, softcap=None,
              s_aux=None, is_causal=None, position_bias=None, **others):
    """transformers' attention: query [B, Hq, T, D], key and value [B, Hkv, T, D] to ([B, T, Hq, D], None). `attention_mask`
    is what `mask` gave; `sliding_window` (the token itself counted) saves time, and says nothing that the mask does not."""
    is_dense = attention_mask is not None and attention_mask.dim() == 4
    if not is_dense:
        if not (getattr(module, "is_causal", True) if is_causal is None else is_causal):
            _refuse("attention to later tokens (an encoder, or attention to another sequence)")
        if query.shape[2] != key.shape[2]:
            _refuse("attention to a cache without a mask")
    fits = has_kernel(query.device.type, _computed_type(query), query.shape[3]) and value.shape[3] == query.shape[3]
    if is_dense or not fits or dropout > 0 or softcap is not None or position_bias is not None:
        visible = _dense_mask(attention_mask, query, sliding_window)
        return _dense_attention(module, query, key, value, visible, dropout, scaling, softcap, s_aux, position_bias,
                                **others)
    window = key.shape[2] if sliding_window is None else sliding_window - 1
    out = local_attention(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), window,
                          first_token=attention_mask, sinks=s_aux, scale=scaling)
    return out, None


def _computed_type(x):
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def _dense_mask(attention_mask, query, sliding_window):
    """[B, 1, Tq, Tk] of what `mask` gave."""
    if attention_mask is not None and attention_mask.dim() == 4:
        return attention_mask
    token = torch.arange(query.shape[2], device=query.device)
    first = torch.zeros_like(token)[None] if attention_mask is None else attention_mask
    if sliding_window is not None:
        first = torch.maximum(first, token - (sliding_window - 1))
    return ((token <= token[:, None]) & (token >= first[:, :, None]))[:, None]


def _dense_attention(module, query, key, value, visible, dropout, scaling, softcap, sinks, position_bias, **others):
    """`sdpa`, or where that knows no sinks and no soft-capping the definition itself."""
    if softcap is None and sinks is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, query, key, value, visible, dropout=dropout, scaling=scaling, is_causal=False,
                                      position_bias=position_bias, **others)
    if position_bias is not None:
        _refuse("position_bias beside sinks or soft-capping")
    group = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(group, 1) for x in (key, value))
    scores = query @ key.transpose(2, 3) * (query.shape[3] ** -0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if visible.dtype == torch.bool:
        scores = scores.masked_fill(~visible, torch.finfo(scores.dtype).min)
    else:
        scores = scores + visible
    if sinks is not None:
        sink = sinks.to(scores.dtype).view(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        scores = torch.cat((scores, sink), -1)
    weights = scores.softmax(-1, dtype=torch.float32).to(value.dtype)[..., :key.shape[2]]
    weights = functional.dropout(weights, dropout)
    return (weights @ value).transpose(1, 2).contiguous(), None


def _refuse(what):
    raise NotImplementedError(f'zebra_attention: {what} is not supported by attn_implementation="{_NAME}". Choose "sdpa" '
                              'for this model, or for one part of it: attn_implementation={"text_config": "zebra", '
                              '"vision_config": "sdpa"}.')
