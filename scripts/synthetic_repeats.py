#!/usr/bin/env python3
"""Writes documents that repeat random words, one line of JSONL each, to standard output: what a small model learns looking up from.

    python scripts/synthetic_repeats.py --examples 2000 --words 61 > repeats.jsonl

Each is a piece of random words, some 8 words to half a document long, again and again. All words but the first piece's can be
foretold, and only by what stands behind the same words before. They are those of the `setting` questions of synthetic_qa.py.
The same options and Python give the same bytes.
"""

import argparse
import json
import random

from synthetic_qa import Source, evenly_by_octave

SHORTEST = 8  # words of a piece


def document(words, length, draw):
    piece = [draw.choice(words) for _ in range(evenly_by_octave(draw, SHORTEST, length // 2))]
    return " ".join((piece * (length // len(piece) + 1))[:length])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, required=True, metavar="N")
    parser.add_argument("--words", type=int, required=True, metavar="N", help="of a document")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.words < 2 * SHORTEST:
        parser.error(f"--words: give {2 * SHORTEST} or more")
    if options.examples < 1:
        parser.error("--examples: give 1 or more")
    source = Source("train")
    for index in range(options.examples):
        draw = random.Random(f"{options.seed} {index}")
        print(json.dumps({"text": document(source.settings + source.values, options.words, draw)}))


if __name__ == "__main__":
    main()
