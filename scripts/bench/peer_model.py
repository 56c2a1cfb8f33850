"""Zebra's body as a careful user of PyTorch writes it: packed projections, PyTorch's fused operators, logits of all tokens."""

import dataclasses
import math

import torch
from torch import nn
from torch.nn import functional

import peer_attention

NORM_EPSILON = 1e-5
THETA = 10000.0


@dataclasses.dataclass(frozen=True)
class Shape:
    layers: int
    width: int
    heads: int
    key_heads: int
    intermediate: int
    vocabulary: int
    group: int  # every group-th layer is global, the first one too
    window: int

    @property
    def head_size(self):
        return self.width // self.heads

    def is_global(self, layer):
        return layer % self.group == 0


def initial_weights(shape, seed):
    """Float32 weights by HuggingFace's names. They are wide enough, and the norms far enough from 1, for the loss to show
    where two implementations differ."""
    generator = torch.Generator().manual_seed(seed)

    def matrix(rows, columns):
        return torch.randn(rows, columns, generator=generator) / math.sqrt(columns)

    def norm():
        return 1 + 0.1 * torch.randn(shape.width, generator=generator)

    keys = shape.key_heads * shape.head_size
    weights = {"model.embed_tokens.weight": matrix(shape.vocabulary, shape.width)}
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        weights |= {
            prefix + "input_layernorm.weight": norm(),
            prefix + "self_attn.q_proj.weight": matrix(shape.width, shape.width),
            prefix + "self_attn.k_proj.weight": matrix(keys, shape.width),
            prefix + "self_attn.v_proj.weight": matrix(keys, shape.width),
            prefix + "self_attn.o_proj.weight": matrix(shape.width, shape.width),
            prefix + "post_attention_layernorm.weight": norm(),
            prefix + "mlp.gate_proj.weight": matrix(shape.intermediate, shape.width),
            prefix + "mlp.up_proj.weight": matrix(shape.intermediate, shape.width),
            prefix + "mlp.down_proj.weight": matrix(shape.width, shape.intermediate),
        }
    return weights | {"model.norm.weight": norm(), "lm_head.weight": matrix(shape.vocabulary, shape.width)}


class RMSNorm(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight.clone())

    def forward(self, x):
        return functional.rms_norm(x, self.weight.shape, self.weight, NORM_EPSILON)


def rotate(x, cos, sin):
    """x [B, H, T, D], tables [T, D / 2]."""
    low, high = x.chunk(2, -1)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)


class Block(nn.Module):
    def __init__(self, shape, weights, attention):
        super().__init__()
        self.shape, self.attention = shape, attention

        def packed(*names):
            return nn.Parameter(torch.cat([weights[name + ".weight"] for name in names]))

        self.attention_norm = RMSNorm(weights["input_layernorm.weight"])
        self.qkv = packed("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
        self.output = packed("self_attn.o_proj")
        self.feed_forward_norm = RMSNorm(weights["post_attention_layernorm.weight"])
        self.gate_up = packed("mlp.gate_proj", "mlp.up_proj")
        self.down = packed("mlp.down_proj")

    def forward(self, x, cos, sin):
        heads, key_heads = self.shape.heads, self.shape.key_heads
        batch, length, width = x.shape
        packed = functional.linear(self.attention_norm(x), self.qkv)
        packed = packed.view(batch, length, heads + 2 * key_heads, self.shape.head_size).transpose(1, 2)
        rotated = rotate(packed[:, :heads + key_heads], cos, sin)
        attended = self.attention(rotated[:, :heads], rotated[:, heads:], packed[:, heads + key_heads:])
        x = x + functional.linear(attended.transpose(1, 2).reshape(batch, length, width), self.output)
        gate, up = functional.linear(self.feed_forward_norm(x), self.gate_up).chunk(2, -1)
        return x + functional.linear(functional.silu(gate) * up, self.down)


class Model(nn.Module):
    """`attentions` is one callable for global layers and one for local ones (peer_attention); `dtype` is what they compute
    in."""

    def __init__(self, shape, weights, attentions, length, dtype):
        super().__init__()
        self.embedding = nn.Parameter(weights["model.embed_tokens.weight"].clone())
        self.blocks = nn.ModuleList()
        for layer in range(shape.layers):
            prefix = f"model.layers.{layer}."
            own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
            self.blocks.append(Block(shape, own, attentions[0 if shape.is_global(layer) else 1]))
        self.norm = RMSNorm(weights["model.norm.weight"])
        self.head = nn.Parameter(weights["lm_head.weight"].clone())
        frequencies = THETA ** (-torch.arange(0, shape.head_size, 2, dtype=torch.float64) / shape.head_size)
        angles = torch.arange(length, dtype=torch.float64)[:, None] * frequencies
        self.register_buffer("cos", angles.cos().to(dtype))
        self.register_buffer("sin", angles.sin().to(dtype))

    def loss(self, tokens, targets):
        """Mean in nats; tokens and targets [B, T]."""
        x = functional.embedding(tokens, self.embedding)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = functional.linear(self.norm(x), self.head)
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def make_model(shape, weights, form, length, dtype, device, grouping):
    attentions = (peer_attention.Causal(grouping),
                  peer_attention.local_attention(form, length, shape.window, dtype, device, grouping))
    return Model(shape, weights, attentions, length, dtype).to(device)
