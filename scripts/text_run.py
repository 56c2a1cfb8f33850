#!/usr/bin/env python3
"""Chooses the vocabulary, the model and the steps that suit a text of one's own, and writes the run file.

The sizes are for some minutes on two CPU cores: a short text is read several times by a small model, a long one less than
once. Where there is more time or a GPU, set a larger model and more steps in the file that this writes.
"""

import argparse
import json
import pathlib
import sys

FEWEST_BYTES = 50_000
COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")  # gzip, Zstandard
USUAL_COMPRESSION = 3

# Up to so many bytes of text: pieces of the vocabulary, bytes that a token then stands for (English prose), width, heads,
# tokens of a sequence.
SIZES = [
    (300_000, 512, 2.0, 96, 3, 128),
    (1_000_000, 1024, 2.5, 128, 4, 256),
    (3_000_000, 1536, 2.8, 128, 4, 256),
    (10_000_000, 2048, 3.0, 192, 3, 256),
    (float("inf"), 4096, 3.5, 192, 3, 256),
]
MOST_PASSES = 8
BATCH = 16
STEPS = (100, 600)

RUN_FILE = """\
# Made by scripts/text_run.py for {megabytes:.1f} MB of text: some {tokens:,} tokens, read {passes:.1f} times.
# vocabulary: {vocabulary}
# prompt: {prompt}
run: {{name: text, dir: {run}, seed: 1}}
model:
  hidden_size: {width}
  intermediate_size: {intermediate}
  num_hidden_layers: 4
  num_attention_heads: {heads}
  num_key_value_heads: {heads}
  self_attn_type: mix
  layer_group_size: 2
  window_size: 64
  tie_word_embeddings: true
data:
  tokenizer: {tokenizer}
  train: [{{path: {train}}}]
  validation: [{{path: {valid}}}]
  sequence_length: {sequence}
optimizer: {{lr: 4.0e-3, weight_decay: 0.1, betas: [0.9, 0.98]}}
schedule: {{type: cosine, warmup_steps: {warmup}, min_lr_ratio: 0.02}}
train: {{max_steps: {steps}, global_batch_size: {batch}, micro_batch_size: {batch}, precision: fp32, grad_clip: 1.0}}
checkpoint: {{every_steps: {every}, keep_last: 2}}
eval: {{every_steps: {every}, max_tokens: 262144}}
logging: {{every_steps: 10}}
"""


def sizes_for(text_bytes):
    """What suits a text of so many bytes."""
    _, vocabulary, bytes_per_token, width, heads, sequence = next(row for row in SIZES if text_bytes <= row[0])
    tokens = int(text_bytes / bytes_per_token)
    steps = min(max(MOST_PASSES * tokens // (BATCH * sequence), STEPS[0]), STEPS[1])
    steps = steps // 10 * 10
    return {
        "vocabulary": vocabulary,
        "tokens": tokens,
        "width": width,
        "intermediate": (8 * width // 3 + 31) // 32 * 32,
        "heads": heads,
        "sequence": sequence,
        "batch": BATCH,
        "steps": steps,
        "warmup": steps // 10,
        "every": -(-steps // 3),
        "passes": steps * BATCH * sequence / tokens,
        "megabytes": text_bytes / 1e6,
    }


def start_of(path):
    with open(path, "rb") as file:
        return file.read(1 << 16)


def bytes_of_text(path):
    """Bytes of a file's text, 0 where it is none; of what is compressed an estimate."""
    start = start_of(path)
    if start.startswith(COMPRESSED):
        return USUAL_COMPRESSION * path.stat().st_size
    return 0 if b"\0" in start else path.stat().st_size


def files_of(text):
    """The files that `zebra data pack` would read."""
    if text.is_file():
        return [text]
    return sorted(path for path in text.rglob("*") if path.is_file() and
                  not any(part.startswith(".") for part in path.relative_to(text).parts))


def first_words(files):
    """A prompt from the text itself."""
    for path in files:
        start = start_of(path)
        if not start.startswith(COMPRESSED) and b"\0" not in start and not start.lstrip().startswith(b"{"):
            return " ".join("".join(filter(is_plain, start.decode("utf-8", "ignore"))).split()[:3])
    return ""


def is_plain(character):
    return character.isprintable() or character.isspace()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=pathlib.Path, help="file or folder of text")
    parser.add_argument("folder", type=pathlib.Path, help="where tokenizer, data and run are to be; gets run.yaml")
    arguments = parser.parse_args()

    if not arguments.text.exists():
        sys.exit(f"{arguments.text}: there is no such file or folder")
    files = files_of(arguments.text)
    text_bytes = sum(map(bytes_of_text, files))
    if text_bytes < FEWEST_BYTES:
        sys.exit(f"{arguments.text}: holds {text_bytes:,} bytes of text; a model learns to write from "
                 f"{FEWEST_BYTES:,} or more (a book has some 500,000)")
    sizes = sizes_for(text_bytes)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    places = {"run": "run", "tokenizer": "tokenizer.model", "train": "data/train", "valid": "data/valid"}
    quoted = {name: json.dumps(str(arguments.folder / place)) for name, place in places.items()}
    run_file = RUN_FILE.format(prompt=first_words(files), **quoted, **sizes)
    (arguments.folder / "run.yaml").write_text(run_file, encoding="utf-8")
    print("{megabytes:.1f} MB of text: a vocabulary of {vocabulary} pieces, a model of width {width}, {steps} steps"
          .format(**sizes))


if __name__ == "__main__":
    main()
