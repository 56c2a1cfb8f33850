"""Causal attention of the peers, in the ways that PyTorch offers for a window. Every form takes q [B, H, T, D] and
k, v [B, Hkv, T, D] (query head h reads key head h // (H / Hkv)) and returns [B, H, T, D]; T is the length that it was made
for. The token at position t of a local layer sees itself and the `window` tokens before it."""

import math

import torch
from torch.nn.functional import scaled_dot_product_attention

CHUNK = 256  # queries of a chunk


def band_mask(queries, keys, window, dtype, device):
    """What to add to scores [queries, keys], the last query standing at the last key: 0 where it sees the key, else -inf."""
    distance = torch.arange(keys - queries, keys, device=device)[:, None] - torch.arange(keys, device=device)[None, :]
    hidden = (distance < 0) | (distance > window)
    return torch.zeros(queries, keys, dtype=dtype, device=device).masked_fill_(hidden, -math.inf)


class Grouping:
    """How grouped heads share their keys: `expansion` repeats them, `enable_gqa` leaves it to PyTorch's operator."""

    WAYS = ("expansion", "enable_gqa")

    def __init__(self, way):
        self.way = way

    def keys(self, x, heads):
        """[B, Hkv, T, D] as the operator shall get it."""
        if self.way == "enable_gqa" or x.shape[1] == heads:
            return x
        batch, key_heads, length, size = x.shape
        return x[:, :, None].expand(batch, key_heads, heads // key_heads, length, size).reshape(batch, heads, length, size)

    def attend(self, q, k, v, **options):
        return scaled_dot_product_attention(q, k, v, enable_gqa=k.shape[1] != q.shape[1], **options)


class Causal:
    """Global layers, and local ones whose window reaches over the whole sequence."""

    def __init__(self, grouping):
        self.grouping = grouping

    def __call__(self, q, k, v):
        k, v = (self.grouping.keys(x, q.shape[1]) for x in (k, v))
        return self.grouping.attend(q, k, v, is_causal=True)


class Masked:
    """One call with a dense band mask."""

    def __init__(self, length, window, dtype, device, grouping):
        self.grouping = grouping
        self.mask = band_mask(length, length, window, dtype, device)

    def __call__(self, q, k, v):
        k, v = (self.grouping.keys(x, q.shape[1]) for x in (k, v))
        return self.grouping.attend(q, k, v, attn_mask=self.mask)


class Chunked:
    """One call for each chunk of queries, with exactly the keys that one of them sees."""

    def __init__(self, length, window, dtype, device, grouping):
        self.grouping = grouping
        self.chunks = []
        masks = {}
        for begin in range(0, length, CHUNK):
            end, first = min(begin + CHUNK, length), max(0, begin - window)
            size = (end - begin, end - first)
            if size not in masks:
                masks[size] = band_mask(*size, window, dtype, device)
            self.chunks.append((slice(begin, end), slice(first, end), masks[size]))

    def __call__(self, q, k, v):
        k, v = (self.grouping.keys(x, q.shape[1]) for x in (k, v))
        return torch.cat([self.grouping.attend(q[:, :, queries], k[:, :, keys], v[:, :, keys], attn_mask=mask)
                          for queries, keys, mask in self.chunks], 2)


class Blocked:
    """One call in which each block of `window` queries sees its own block of keys and the one before. The blocks stand where
    the operator expects heads; the query heads that share a key head stand one below the other as rows."""

    def __init__(self, length, window, dtype, device):
        if window == 0:
            raise ValueError("blocks of 0 queries: the blocked form needs a window of at least 1")
        self.window, self.blocks = window, math.ceil(length / window)
        mask = band_mask(window, 2 * window, window, dtype, device).repeat(self.blocks, 1, 1)
        mask[0, :, :window] = -math.inf  # nothing stands before the first block
        self.mask = mask[None]
        self.padding = self.blocks * window - length

    def __call__(self, q, k, v):
        batch, heads, length, size = q.shape
        key_heads = k.shape[1]
        group = heads // key_heads
        pad = torch.nn.functional.pad
        q = pad(q, (0, 0, 0, self.padding)).view(batch, key_heads, group, self.blocks, self.window, size)
        q = q.transpose(2, 3).reshape(batch * key_heads, self.blocks, group * self.window, size)
        k, v = (self._pairs(pad(x, (0, 0, self.window, self.padding))) for x in (k, v))
        mask = self.mask.repeat(1, 1, group, 1)
        out = scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out = out.view(batch, key_heads, self.blocks, group, self.window, size).transpose(2, 3)
        return out.reshape(batch, heads, self.blocks * self.window, size)[:, :, :length]

    def _pairs(self, x):
        """[B, Hkv, (blocks + 1) window, D] to [B Hkv, blocks, 2 window, D]: each block behind the one before."""
        batch, key_heads, _, size = x.shape
        blocks = x.view(batch, key_heads, self.blocks + 1, self.window, size)
        return torch.cat([blocks[:, :, :-1], blocks[:, :, 1:]], 3).flatten(0, 1)


class Flash:
    """The window of the package flash-attn, on CUDA."""

    def __init__(self, window):
        from flash_attn import flash_attn_func
        self.function, self.window = flash_attn_func, window

    def __call__(self, q, k, v):
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return self.function(q, k, v, causal=True, window_size=(self.window, 0)).transpose(1, 2)


class Flex:
    """FlexAttention, whose kernel is made by torch.compile whatever the rest of the model does; on CUDA."""

    def __init__(self, length, window, device):
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention
        self.function = torch.compile(flex_attention, dynamic=False)
        self.mask = create_block_mask(lambda batch, head, query, key: (key <= query) & (query - key <= window),
                                      None, None, length, length, device=device)

    def __call__(self, q, k, v):
        return self.function(q, k, v, block_mask=self.mask, enable_gqa=q.shape[1] != k.shape[1])


def local_attention(form, length, window, dtype, device, grouping):
    """The form of that name: masked, chunked, blocked, flash or flex."""
    if window >= length - 1:
        return Causal(grouping)
    if form == "flash":
        return Flash(window)
    if form == "flex":
        return Flex(length, window, device)
    if form == "blocked":
        return Blocked(length, window, dtype, device)
    return {"masked": Masked, "chunked": Chunked}[form](length, window, dtype, device, grouping)
