"""Zebra for transformers: a Llama-like body in which each layer sees either all earlier tokens or a window of them.

`zebra export` puts this file beside the weights of models that no stock architecture holds exactly: dynamic scaling, a window of
one token, and combinations of norms, attention sinks and rotary embeddings that no stock class has. Load them with
trust_remote_code=True. Attention goes through transformers' attention interface, so that other implementations can take it. It is
checked against Zebra's own logits and generation with the release of transformers that config.json names.
"""

import math

import torch
from torch import nn
from transformers import DynamicCache, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

# What this release calls the keys and values of earlier tokens: "past_key_values", later "cache".
CACHE = "cache" if "cache" in CausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"


class ZebraConfig(PretrainedConfig):
    """The keys of an exported config.json. `attention_pattern` has a letter for each layer, G (global) or L (local); local
    layers see `window_size` previous tokens and the token itself. `global_rope_theta` and `local_rope_theta` replace the theta
    of one kind of layer, 0 leaves it without rotary embedding. Rope scaling with `layers: global` leaves local layers alone.
    `norm_placement` is "pre" or "reordered" (behind attention and feed-forward), `qk_norm` True (of each head) or "projection"
    (of all heads together), `attention_sink` True (in local layers) or "all"."""

    model_type = "zebra"

    def __init__(self, vocab_size=512, hidden_size=64, intermediate_size=176, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=None, head_dim=None, max_position_embeddings=128, rms_norm_eps=1e-5,
                 initializer_range=0.02, attention_pattern=None, window_size=None, rope_theta=10000.0, rope_scaling=None,
                 rope_parameters=None, global_rope_theta=None, local_rope_theta=None, norm_placement="pre", qk_norm=False,
                 attention_sink=False, use_cache=True, **kwargs):
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
        self.norm_placement = norm_placement
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
    if kind == "llama3":
        # The share that is kept of a frequency follows from how often it turns over the original length.
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        kept = ((original * frequencies / (2 * math.pi) - low) / (high - low)).clamp(0, 1)
        return frequencies * (kept + (1 - kept) / factor), 1.0
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


def eager_attention(module, query, key, value, attention_mask, scaling, dropout=0.0, s_aux=None, **kwargs):
    """Plain attention, with sinks `s_aux` [heads] or without: query [B, H, T, head_dim], the mask as transformers makes it (None:
    causal; a bool is True where a token is seen; anything else is added to the scores). Gives [B, T, H, head_dim]."""
    key, value = (t.repeat_interleave(module.num_key_value_groups, 1) for t in (key, value))
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling
    queries, keys = scores.shape[2:]
    if attention_mask is None and queries > 1:
        attention_mask = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril(keys - queries)
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        scores = scores + attention_mask
    scores = scores.float()
    if s_aux is not None:  # one more key, whose value is nothing
        scores = torch.cat([scores, s_aux.float()[None, :, None, None].expand(*scores.shape[:3], 1)], -1)
    weights = nn.functional.dropout(scores.softmax(-1)[..., :keys].to(query.dtype), dropout, module.training)
    return torch.matmul(weights, value).transpose(1, 2), weights


def attention_function(config, sinks):
    """What computes attention under the implementation that was chosen for the model."""
    implementation = config._attn_implementation
    # transformers' sdpa leaves sinks out without a word.
    if implementation == "eager" or implementation == "sdpa" and sinks is not None:
        return eager_attention
    return ALL_ATTENTION_FUNCTIONS[implementation]


def attention_masks(config, x, attention_mask, position_ids, cache):
    """The masks of the kinds of layers that there are, in the form that the attention implementation wants."""
    arguments = {"config": config, "inputs_embeds": x, "attention_mask": attention_mask, "position_ids": position_ids,
                 CACHE: cache}
    makers = {"G": create_causal_mask, "L": create_sliding_window_causal_mask}
    if config.window_size == 0:
        del makers["L"]  # a token that sees itself alone needs none
    return {kind: make(**arguments) for kind, make in makers.items() if kind in config.attention_pattern}


class ZebraAttention(nn.Module):
    is_causal = True

    def __init__(self, config, layer):
        super().__init__()
        self.config = config
        self.layer_idx = layer
        self.head_dim = config.head_dim
        self.kind = config.attention_pattern[layer]
        self.sliding_window = config.window_size + 1 if self.kind == "L" else None
        self.scaling = config.head_dim ** -0.5
        self.num_key_value_groups = config.num_attention_heads // config.num_key_value_heads
        query_width, key_width = (heads * config.head_dim for heads in (config.num_attention_heads, config.num_key_value_heads))
        self.q_proj = nn.Linear(config.hidden_size, query_width, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, key_width, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, key_width, bias=False)
        self.o_proj = nn.Linear(query_width, config.hidden_size, bias=False)
        self.norms_projection = config.qk_norm == "projection"
        if config.qk_norm:
            widths = (query_width, key_width) if self.norms_projection else (config.head_dim, config.head_dim)
            self.q_norm, self.k_norm = (nn.RMSNorm(width, config.rms_norm_eps) for width in widths)
        has_sinks = config.attention_sink == "all" or config.attention_sink and self.kind == "L"
        self.sinks = nn.Parameter(torch.zeros(config.num_attention_heads)) if has_sinks else None

    def heads(self, x, norm):
        """x [B, T, H head_dim], normalised where there is a norm: [B, H, T, head_dim]."""
        if norm is not None and self.norms_projection:
            x = norm(x)
        x = x.unflatten(-1, (-1, self.head_dim))
        return (x if norm is None or self.norms_projection else norm(x)).transpose(1, 2)

    def forward(self, x, rotary, masks, cache, **kwargs):
        q_norm, k_norm = (self.q_norm, self.k_norm) if self.config.qk_norm else (None, None)
        q = rotate(self.heads(self.q_proj(x), q_norm), rotary[self.kind])
        k = rotate(self.heads(self.k_proj(x), k_norm), rotary[self.kind])
        v = self.heads(self.v_proj(x), None)
        if self.sliding_window == 1:
            if cache is not None:
                cache.update(k, v, self.layer_idx)  # counts tokens; it would keep all keys
            out = self.own_value(q, k, v)
        else:
            if cache is not None:
                k, v = cache.update(k, v, self.layer_idx)
            sinks = {} if self.sinks is None else {"s_aux": self.sinks}
            out, _ = attention_function(self.config, self.sinks)(
                self, q, k, v, masks[self.kind], dropout=0.0, scaling=self.scaling, sliding_window=self.sliding_window,
                **sinks, **kwargs)
        return self.o_proj(out.reshape(*x.shape[:2], -1))

    def own_value(self, q, k, v):
        """Attention of tokens that see themselves alone: a weight of 1, less what a sink takes. [B, T, H, head_dim]."""
        k, v = (t.repeat_interleave(self.num_key_value_groups, 1) for t in (k, v))
        if self.sinks is not None:
            scores = (q * k).sum(-1, keepdim=True) * self.scaling
            v = v * (scores - self.sinks[:, None, None]).sigmoid().to(v.dtype)
        return v.transpose(1, 2)


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
        self.is_reordered = config.norm_placement == "reordered"
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        # As in stock classes: behind attention where norms are reordered, else behind its addition.
        other = "post_feedforward_layernorm" if self.is_reordered else "input_layernorm"
        self.add_module(other, nn.RMSNorm(config.hidden_size, config.rms_norm_eps))

    def forward(self, x, rotary, masks, cache, **kwargs):
        if self.is_reordered:
            x = x + self.post_attention_layernorm(self.self_attn(x, rotary, masks, cache, **kwargs))
            return x + self.post_feedforward_layernorm(self.mlp(x))
        x = x + self.self_attn(self.input_layernorm(x), rotary, masks, cache, **kwargs)
        return x + self.mlp(self.post_attention_layernorm(x))


class ZebraPreTrainedModel(PreTrainedModel):
    config_class = ZebraConfig
    base_model_prefix = "model"
    _no_split_modules = ["ZebraBlock"]
    _supports_sdpa = True
    _supports_attention_backend = True


class ZebraModel(ZebraPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(ZebraBlock(config, layer) for layer in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, position_ids=None, cache=None, past_key_values=None,
                inputs_embeds=None, longest=None, **kwargs):
        """Final hidden states [B, T, hidden_size] of the next T tokens; `attention_mask` [B, all tokens] is 0 at padding."""
        cache = past_key_values if cache is None else cache
        x = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        length = x.shape[1]
        total = length + (0 if cache is None else cache.get_seq_length())
        if position_ids is None:
            position_ids = torch.arange(total - length, total, device=x.device)[None]
        rotary = {kind: rotary_factors(self.config, kind == "L", position_ids, longest or total) for kind in "GL"}
        masks = attention_masks(self.config, x, attention_mask, position_ids, cache)
        for layer in self.layers:
            x = layer(x, rotary, masks, cache, position_ids=position_ids, **kwargs)
        return BaseModelOutputWithPast(last_hidden_state=self.norm(x), **{CACHE: cache})


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
        hidden = self.model(input_ids, attention_mask, position_ids, cache, inputs_embeds=inputs_embeds, longest=self.longest,
                            **kwargs).last_hidden_state
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
