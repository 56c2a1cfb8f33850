"""Zebra written down a second time, plainly, in PyTorch: dense masks, no packing, no chunks. It reads an export (config.json
and model.safetensors) and shares no code with the C++ implementation."""

import json
import math

import torch
from safetensors.torch import load_file


UNSCALED = {"rope_type": "default"}


def rope_of(config, layer):
    """Theta (0: no rotation) and scaling of a layer, whatever architecture says it."""
    kind = config["layer_types"][layer]
    if config["model_type"] == "olmo3":
        rope = config["rope_parameters"][kind]
        return rope["rope_theta"], rope
    scaling = config["rope_scaling"] or UNSCALED
    if config["model_type"] == "granite_swa":
        return config["layer_rope_theta"][layer], scaling
    local = kind == "sliding_attention"
    theta = config.get("local_rope_theta" if local else "global_rope_theta", config["rope_theta"])
    return theta, UNSCALED if local and scaling.get("layers") == "global" else scaling


def inverse_frequencies(dim, theta, scaling, longest):
    kind = scaling["rope_type"]
    exponents = torch.arange(0, dim, 2, dtype=torch.float64) / dim
    if kind == "dynamic":
        original = scaling["original_max_position_embeddings"]
        length = max(longest, original)
        theta = theta * ((scaling["factor"] * length / original) - (scaling["factor"] - 1)) ** (dim / (dim - 2))
    frequencies = theta ** -exponents
    if kind == "linear":
        frequencies = frequencies / scaling["factor"]
    if kind == "llama3":
        def scaled(frequency):
            turns = scaling["original_max_position_embeddings"] * frequency / (2 * math.pi)
            low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
            if turns > high:
                return frequency
            if turns < low:
                return frequency / scaling["factor"]
            share = (turns - low) / (high - low)
            return (1 - share) * frequency / scaling["factor"] + share * frequency

        return torch.tensor([scaled(frequency) for frequency in frequencies.tolist()], dtype=torch.float64), 1.0
    if kind != "yarn":
        return frequencies, 1.0

    original = scaling["original_max_position_embeddings"]

    def correction(rotations):
        return dim * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low = max(math.floor(correction(scaling["beta_fast"])), 0)
    high = min(math.ceil(correction(scaling["beta_slow"])), dim - 1)
    if low == high:
        high += 0.001
    ramp = ((torch.arange(dim // 2, dtype=torch.float64) - low) / (high - low)).clamp(0, 1)
    keep = 1 - ramp
    return frequencies / scaling["factor"] * (1 - keep) + frequencies * keep, 0.1 * math.log(scaling["factor"]) + 1


def rotate(x, angles, amplitude):
    """x [B, H, T, D], angles [B, T, D/2]."""
    cos = torch.cat([angles.cos(), angles.cos()], -1)[:, None] * amplitude
    sin = torch.cat([angles.sin(), angles.sin()], -1)[:, None] * amplitude
    first, second = x.chunk(2, -1)
    return x * cos.to(x.dtype) + torch.cat([-second, first], -1) * sin.to(x.dtype)


def read_config(folder):
    """config.json, with the kind of each layer also where the architecture says it: llama global, mistral local."""
    config = json.loads((folder / "config.json").read_text())
    kind = {"llama": "full_attention", "mistral": "sliding_attention"}.get(config["model_type"])
    if kind:
        config["layer_types"] = [kind] * config["num_hidden_layers"]
    return config


class ReferenceModel:
    def __init__(self, folder, dtype):
        self.config = read_config(folder)
        tensors = load_file(folder / "model.safetensors")
        # Sinks as low as these stand for none.
        idle = {name for name, value in tensors.items() if name.endswith("sinks") and (value <= -5000).all()}
        self.weights = {name: value.to(dtype).requires_grad_(True) for name, value in tensors.items() if name not in idle}

    def norm(self, x, name):
        scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.config["rms_norm_eps"])
        return x * scale * self.weights[name]

    def attention(self, x, layer, document):
        config = self.config
        batch, length, _ = x.shape
        heads, key_heads, dim = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
        prefix = f"model.layers.{layer}.self_attn."

        def project(name, count, norm=None):
            x_name, norm_name = prefix + name + ".weight", prefix + f"{norm}.weight"
            projected = x @ self.weights[x_name].T
            if norm_name in self.weights and self.weights[norm_name].numel() != dim:  # one norm for all heads
                return self.norm(projected, norm_name).view(batch, length, count, dim).transpose(1, 2)
            projected = projected.view(batch, length, count, dim).transpose(1, 2)
            return self.norm(projected, norm_name) if norm_name in self.weights else projected

        q, k, v = project("q_proj", heads, "q_norm"), project("k_proj", key_heads, "k_norm"), project("v_proj", key_heads)
        local = config["layer_types"][layer] == "sliding_attention"
        theta, scaling = rope_of(config, layer)
        index = torch.arange(length)
        first = torch.stack([torch.stack([(row == row[t]).nonzero()[0, 0] for t in range(length)]) for row in document])
        if theta != 0:
            frequencies, amplitude = inverse_frequencies(dim, theta, scaling, length)
            angles = (index[None] - first).to(torch.float64)[..., None] * frequencies
            q, k = rotate(q, angles, amplitude), rotate(k, angles, amplitude)
        k, v = (t.repeat_interleave(heads // key_heads, 1) for t in (k, v))

        distance = index[:, None] - index[None, :]
        visible = distance >= 0
        if local:
            visible = visible & (distance < config["sliding_window"])
        visible = visible[None] & (document[:, :, None] == document[:, None, :])
        scores = (q @ k.transpose(-1, -2)) / math.sqrt(dim)
        scores = scores.masked_fill(~visible[:, None], float("-inf"))
        if prefix + "sinks" in self.weights:
            sinks = self.weights[prefix + "sinks"].view(1, -1, 1, 1).expand(batch, -1, length, 1)
            weights = torch.cat([scores, sinks], -1).softmax(-1)[..., :-1]
        else:
            weights = scores.softmax(-1)
        out = (weights @ v).transpose(1, 2).reshape(batch, length, heads * dim)
        return out @ self.weights[prefix + "o_proj.weight"].T

    def feed_forward(self, x, layer):
        prefix = f"model.layers.{layer}.mlp."
        gate, up = (x @ self.weights[prefix + name].T for name in ("gate_proj.weight", "up_proj.weight"))
        return (torch.nn.functional.silu(gate) * up) @ self.weights[prefix + "down_proj.weight"].T

    def logits(self, tokens, document_begins):
        document = document_begins.cumsum(1)
        x = self.weights["model.embed_tokens.weight"][tokens]
        for layer in range(self.config["num_hidden_layers"]):
            prefix = f"model.layers.{layer}."
            if prefix + "post_feedforward_layernorm.weight" in self.weights:
                x = x + self.norm(self.attention(x, layer, document), prefix + "post_attention_layernorm.weight")
                x = x + self.norm(self.feed_forward(x, layer), prefix + "post_feedforward_layernorm.weight")
                continue
            x = x + self.attention(self.norm(x, prefix + "input_layernorm.weight"), layer, document)
            x = x + self.feed_forward(self.norm(x, prefix + "post_attention_layernorm.weight"), layer)
        x = self.norm(x, "model.norm.weight")
        head = "model.embed_tokens.weight" if self.config["tie_word_embeddings"] else "lm_head.weight"
        return x @ self.weights[head].T

    def loss(self, logits, targets):
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum")
