#!/usr/bin/env python3
"""Puts a model's bits per byte beside what general compressors reach on the same held-out text, and its loss beside the
unigram entropy of the held-out tokens."""

import argparse
import gzip
import json
import lzma
import pathlib

import numpy as np


def concatenated(folder):
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def unigram_entropy(dataset):
    """Entropy in nats of the dataset's own token frequencies."""
    token_bytes = json.loads((dataset / "dataset.json").read_text())["token_bytes"]
    tokens = np.fromfile(dataset / "tokens.bin", dtype=f"<u{token_bytes}")
    counts = np.bincount(tokens)
    shares = counts[counts > 0] / tokens.size
    return float(-(shares * np.log(shares)).sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluation", type=pathlib.Path, required=True, help="file that `zebra eval --json` wrote")
    parser.add_argument("--text", type=pathlib.Path, required=True, help="folder with the held-out text")
    parser.add_argument("--dataset", type=pathlib.Path, required=True, help="token dataset made from it")
    arguments = parser.parse_args()

    evaluation = json.loads(arguments.evaluation.read_text())
    text = concatenated(arguments.text)
    print(f"model: {evaluation['bits_per_byte']:.3f} bits per byte")
    print(f"gzip -9: {8 * len(gzip.compress(text, 9)) / len(text):.3f} bits per byte")
    print(f"xz -9: {8 * len(lzma.compress(text, preset=9)) / len(text):.3f} bits per byte")
    entropy = unigram_entropy(arguments.dataset)
    loss = evaluation["loss"]
    print(f"validation loss {loss:.3f} nats per token, {loss / entropy:.3f} of the unigram entropy {entropy:.3f}")


if __name__ == "__main__":
    main()
