"""Zebra for transformers: a Llama-like body in which each layer sees either all earlier tokens or a window of them.

`zebra export` puts this file beside the weights of models that no stock architecture holds exactly (another rotary embedding in
each kind of layer, or none; QK-norm; attention sinks; dynamic scaling). Load them with trust_remote_code=True. It is plain
PyTorch, checked against Zebra's own logits and generation with the release of transformers that config.json names.
"""

import functools
import math

import torch
from torch import nn
from transformers import DynamicCache, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

# What this release calls the keys and values of earlier tokens: "past_key_values", later "cache".
CACHE = "cache" if "cache" in CausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"


class ZebraConfig(PretrainedConfig):
    """The keys of an exported config.json. `attention_pattern` has a letter for each layer, G (global) or L (local); local
    layers see `window_size` previous tokens and the token itself. `global_rope_theta` and `local_rope_theta` replace the theta
    of one kind of layer, 0 leaves it without rotary embedding. Rope scaling with `layers: global` leaves local layers alone."""

    model_type = "zebra"

    def __init__(self, vocab_size=512, hidden_size=64, intermediate_size=176, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=None, head_dim=None, max_position_embeddings=128, rms_norm_eps=1e-5,
                 initializer_range=0.02, attention_pattern=None, window_size=None, rope_theta=10000.0, rope_scaling=None,
                 rope_parameters=None, global_rope_theta=None, local_rope_theta=None, qk_norm=False, attention_sink=False,
                 use_cache=True, **kwargs):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.num_key_value_heads = num_key_value_heads or num_attention_heads
        self.head_dim = head_dim or hidden_size // num_attention_heads
        self.max_position_embeddings = max_position_embeddings
        self.rms_norm_eps = rms_norm_eps
        self.initializer_range = initializer_range
        self.attention_pattern = attention_pattern or "G" * num_hidden_layers
        self.window_size = window_size
        # Both spellings of the rotary embedding are read, the later one is kept.
        self.rope_parameters = {"rope_type": "default", "rope_theta": rope_theta} | (rope_parameters or rope_scaling or {})
        self.rope_parameters.pop("type", None)
        self.global_rope_theta = global_rope_theta
        self.local_rope_theta = local_rope_theta
        self.qk_norm = qk_norm
        self.attention_sink = attention_sink
        self.use_cache = use_cache
        # What transformers makes the cache of each layer by.
        kwargs["layer_types"] = ["full_attention" if kind == "G" else "sliding_attention" for kind in self.attention_pattern]
        kwargs["sliding_window"] = None if window_size is None else window_size + 1
        super().__init__(**kwargs)

    @property
    def ignore_keys_at_rope_validation(self):
        """Keys that are ours: transformers would warn of them."""
        own = {"dynamic": {"layers", "original_max_position_embeddings"}}
        return own.get(self.rope_parameters["rope_type"], {"layers"})


def inverse_frequencies(config, local, longest):
    """Radians per token of each pair of dimensions, float64 [head_dim / 2], and the factor of cosines and sines; nothing in
    layers without rotary embedding. Dynamic scaling depends on the longest length of the call."""
    rope = config.rope_parameters
    theta = config.local_rope_theta if local else config.global_rope_theta
    theta = rope["rope_theta"] if theta is None else theta
    if theta == 0:
        return None
    kind = "default" if local and rope.get("layers") == "global" else rope["rope_type"]
    dim, factor, original = config.head_dim, rope.get("factor", 1.0), rope.get("original_max_position_embeddings")
    if kind == "dynamic" and dim > 2:  # the only pair of two dimensions is the highest frequency, which stays
        theta *= (factor * max(longest, original) / original - (factor - 1)) ** (dim / (dim - 2))
    frequencies = theta ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    if kind == "linear":
        return frequencies / factor, 1.0
    if kind != "yarn":
        return frequencies, 1.0

    def pair_that_turns(times):
        return dim * math.log(original / (times * 2 * math.pi)) / (2 * math.log(theta))

    low = max(math.floor(pair_that_turns(rope["beta_fast"])), 0)
    high = min(math.ceil(pair_that_turns(rope["beta_slow"])), dim - 1)
    high += 0.001 if low == high else 0
    share = ((torch.arange(dim // 2, dtype=torch.float64) - low) / (high - low)).clamp(0, 1)
    return frequencies * (share / factor + 1 - share), 0.1 * math.log(factor) + 1 if factor > 1 else 1.0


def rotary_factors(config, local, positions, longest):
    """Cosines and sines at `positions` [B, T], each [B, 1, T, head_dim / 2] float32; nothing without rotary embedding."""
    found = inverse_frequencies(config, local, longest)
    if found is None:
        return None
    frequencies, amplitude = found
    angles = positions[:, None, :, None].double() * frequencies.to(positions.device)
    return (angles.cos() * amplitude).float(), (angles.sin() * amplitude).float()


def rotate(x, factors):
    """x [B, H, T, head_dim]: dimension j turns together with dimension j + head_dim / 2."""
    if factors is None:
        return x
    cos, sin = factors
    first, second = x.float().chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(x.dtype)


def attention_bias(queries, keys, total, window, padding, like):
    """What is added to scores, [1 or B, 1, queries, keys]: 0 where the last `queries` of `total` tokens see the last `keys` of
    them, else minus infinity. `padding` [B, total], 0 for padding, or None. A token always sees itself."""
    key = torch.arange(total - keys, total, device=like.device)
    query = torch.arange(total - queries, total, device=like.device)[:, None]
    visible = key <= query
    if window is not None:
        visible &= key >= query - window
    visible = visible[None, None]
    if padding is not None:
        visible = visible & padding[:, None, None, total - keys:].bool() | (key == query)
    return torch.zeros(visible.shape, dtype=like.dtype, device=like.device).masked_fill(~visible, -math.inf)


class ZebraAttention(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.layer = layer
        self.head_dim = config.head_dim
        self.local = config.attention_pattern[layer] == "L"
        self.group = config.num_attention_heads // config.num_key_value_heads
        query_width, key_width = (heads * config.head_dim for heads in (config.num_attention_heads, config.num_key_value_heads))
        self.q_proj = nn.Linear(config.hidden_size, query_width, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, key_width, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, key_width, bias=False)
        self.o_proj = nn.Linear(query_width, config.hidden_size, bias=False)
        self.q_norm = nn.RMSNorm(config.head_dim, config.rms_norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm = nn.RMSNorm(config.head_dim, config.rms_norm_eps) if config.qk_norm else nn.Identity()
        self.sinks = nn.Parameter(torch.zeros(config.num_attention_heads)) if self.local and config.attention_sink else None

    def forward(self, x, rotary, bias_for, cache):
        heads = (*x.shape[:2], -1, self.head_dim)
        q = rotate(self.q_norm(self.q_proj(x).view(heads)).transpose(1, 2), rotary[self.local])
        k = rotate(self.k_norm(self.k_proj(x).view(heads)).transpose(1, 2), rotary[self.local])
        v = self.v_proj(x).view(heads).transpose(1, 2)
        if cache is not None:
            k, v = cache.update(k, v, self.layer)
        bias = bias_for(self.local, k.shape[2])
        if self.sinks is not None:
            # A key of zeros with a value of zeros, whose score is the sink.
            k, v = (nn.functional.pad(t, (0, 0, 1, 0)) for t in (k, v))
            sinks = self.sinks.to(bias.dtype)[:, None, None].expand(bias.shape[0], -1, bias.shape[2], 1)
            bias = torch.cat([sinks, bias.expand(-1, len(self.sinks), -1, -1)], -1)
        k, v = (t.repeat_interleave(self.group, 1) for t in (k, v))
        out = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.o_proj(out.transpose(1, 2).flatten(2))


class ZebraFeedForward(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x):
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class ZebraBlock(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.self_attn = ZebraAttention(config, layer)
        self.mlp = ZebraFeedForward(config)
        self.input_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x, rotary, bias_for, cache):
        x = x + self.self_attn(self.input_layernorm(x), rotary, bias_for, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class ZebraPreTrainedModel(PreTrainedModel):
    config_class = ZebraConfig
    base_model_prefix = "model"
    _no_split_modules = ["ZebraBlock"]
    _supports_sdpa = True


class ZebraModel(ZebraPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(ZebraBlock(config, layer) for layer in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, position_ids=None, cache=None, inputs_embeds=None, longest=None):
        """Final hidden states [B, T, hidden_size] of the next T tokens; `attention_mask` [B, all tokens] is 0 at padding."""
        x = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        length = x.shape[1]
        total = length + (0 if cache is None else cache.get_seq_length())
        if position_ids is None:
            position_ids = torch.arange(total - length, total, device=x.device)[None]
        rotary = [rotary_factors(self.config, local, position_ids, longest or total) for local in (False, True)]

        @functools.cache
        def bias_for(local, keys):
            return attention_bias(length, keys, total, self.config.window_size if local else None, attention_mask, x)

        for layer in self.layers:
            x = layer(x, rotary, bias_for, cache)
        return self.norm(x)


class ZebraForCausalLM(ZebraPreTrainedModel, GenerationMixin):
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config):
        super().__init__(config)
        self.model = ZebraModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.longest = None  # tokens that a running generation will reach at most
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, position_ids=None, cache=None, past_key_values=None,
                inputs_embeds=None, labels=None, use_cache=None, logits_to_keep=0, **kwargs):
        cache = past_key_values if cache is None else cache
        if cache is None and (self.config.use_cache if use_cache is None else use_cache) and not self.training:
            cache = DynamicCache(config=self.config)
        hidden = self.model(input_ids, attention_mask, position_ids, cache, inputs_embeds, self.longest)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(hidden[:, kept])
        loss = None if labels is None else self.loss_function(logits, labels, vocab_size=self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(loss=loss, logits=logits, **{CACHE: cache})

    # Keys in the cache stay valid under dynamic scaling where all of a generation is rotated for its longest length.

    def _prepare_generated_length(self, generation_config, *args, **kwargs):
        generation_config = super()._prepare_generated_length(generation_config, *args, **kwargs)
        self.longest = generation_config.max_length
        return generation_config

    def generate(self, *args, **kwargs):
        try:
            return super().generate(*args, **kwargs)
        finally:
            self.longest = None
