"""Token datasets for compare.py."""

import dataclasses
import json
import pathlib
import random
import string
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class TrainingData:
    tokenizer: pathlib.Path
    dataset: pathlib.Path


def of_python_source(folder, vocabulary):
    """Text, a tokenizer and a dataset, made in `folder` unless they are there."""
    subprocess.run(["bash", ROOT / "scripts/python_data.sh", folder, str(vocabulary)], check=True, stdout=subprocess.DEVNULL)
    return TrainingData(folder / "tokenizer.model", folder / "data/train")


def of_one_sequence(zebra, tokenizer, length, output):
    """A dataset with one sequence, of random words. Every step of every contender then reads the same batch, whatever the
    order in which it takes samples; and the loss falls quickly, so that it shows what the updates did."""
    generator, characters = random.Random(1), 2 * length
    while True:
        words = ("".join(generator.choices(string.ascii_lowercase, k=generator.randint(1, 8))) for _ in range(characters))
        text = " ".join(words)[:characters]
        subprocess.run([zebra, "data", "pack", "--input", "-", "--format", "text", "--tokenizer", tokenizer, "--output", output,
                        "--overwrite"], input=text, text=True, check=True, capture_output=True)
        tokens = json.loads((output / "dataset.json").read_text())["tokens"]
        if length < tokens <= 2 * length:
            return TrainingData(tokenizer, output)
        characters = characters * 3 * length // (2 * tokens) + 1
