"""A GPT in one page, trained on the characters of a text file, with nanochat's pattern of windows: three layers see a short
window and the fourth sees all. The attention is FlashAttention's function, on CPUs too.

    python train_gpt.py [FILE] [--steps N]
"""

import argparse
import pathlib

import torch
from torch import nn
from torch.nn import functional

from zebra_attention import flash_attn_func

LENGTH, WIDTH, HEADS, LAYERS = 128, 128, 4, 4
WINDOWS = {"S": (LENGTH // 4, 0), "L": (-1, 0)}
PATTERN = "SSSL"


class Block(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.window = WINDOWS[PATTERN[layer % len(PATTERN)]]
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x):
        normed = functional.rms_norm(x, (WIDTH,))
        q, k, v = self.qkv(normed).unflatten(-1, (3, HEADS, WIDTH // HEADS)).unbind(2)
        x = x + self.out(flash_attn_func(q, k, v, causal=True, window_size=self.window).flatten(2))
        return x + self.down(functional.relu(self.up(functional.rms_norm(x, (WIDTH,)))).square())


class Gpt(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList(Block(layer) for layer in range(LAYERS))
        self.head = nn.Linear(WIDTH, vocabulary, bias=False)

    def forward(self, tokens, targets):
        x = self.tokens(tokens) + self.positions.weight[:tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = self.head(functional.rms_norm(x, (WIDTH,)))
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", default=argparse.__file__, help="a text; else a module of Python")
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    text = pathlib.Path(options.file).read_text()
    characters = sorted(set(text))
    data = torch.tensor([characters.index(c) for c in text])

    torch.manual_seed(1)
    model = Gpt(len(characters))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(options.steps):
        begins = torch.randint(len(data) - LENGTH - 1, (8,))
        rows = torch.stack([data[begin:begin + LENGTH + 1] for begin in begins])
        loss = model(rows[:, :-1], rows[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0 or step == options.steps - 1:
            print(f"step {step}  loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
