"""Trains a small random Mistral of transformers with one or several attention implementations, on the same tokens, and
prints losses and seconds per step.

    python train_mistral.py --attention zebra sdpa eager --steps 3 --length 4096 --window 256
"""

import argparse
import statistics
import time

import torch
import transformers

import zebra_attention  # noqa: F401  makes attn_implementation="zebra" known


def model(attention, window):
    torch.manual_seed(1)
    config = transformers.MistralConfig(
        vocab_size=64, hidden_size=128, intermediate_size=256, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, sliding_window=window + 1, max_position_embeddings=1 << 20)
    return transformers.MistralForCausalLM._from_config(config, attn_implementation=attention)


def train(attention, options):
    """Losses, and seconds of each step."""
    trained = model(attention, options.window)
    # AdamW divides by the size of gradients: with the usual eps the last bit of a small one would decide on a first step.
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-3, eps=1e-5)
    generator = torch.Generator().manual_seed(2)
    # Each row counts in steps of its own, from a token of its own: two tokens tell all others.
    first, stride = torch.randint(64, (2, options.steps, options.batch, 1), generator=generator)
    tokens = (first + stride * torch.arange(options.length)) % 64
    losses, seconds = [], []
    for batch in tokens:
        began = time.perf_counter()
        loss = trained(input_ids=batch, labels=batch, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
        losses.append(loss.item())
    return losses, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attention", nargs="+", default=["zebra", "sdpa"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=128, help="tokens in a sequence, an even number")
    parser.add_argument("--window", type=int, default=16, help="earlier tokens that a token sees")
    options = parser.parse_args()
    for attention in options.attention:
        losses, seconds = train(attention, options)
        print(f"{attention:6} {statistics.median(seconds):8.3f} s per step, losses", *(f"{loss:.5f}" for loss in losses))


if __name__ == "__main__":
    main()
