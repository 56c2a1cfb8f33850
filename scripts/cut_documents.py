#!/usr/bin/env python3
"""Cuts text files into documents of the lengths that web pages have, one line of JSONL each, to standard output.

Lengths are drawn around --mean bytes (2,000 are some 700 tokens of Python), many short and a few long; a document ends with a line.
The same files give the same documents.
"""

import argparse
import json
import pathlib
import random


def documents(lines, mean, draw):
    """Joins lines until a drawn length is reached."""
    document, size, wanted = [], 0, draw.expovariate(1 / mean)
    for line in lines:
        document.append(line)
        size += len(line)
        if size >= wanted:
            yield "".join(document)
            document, size, wanted = [], 0, draw.expovariate(1 / mean)
    if document:
        yield "".join(document)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="all files below it are text")
    parser.add_argument("--mean", type=float, default=2000, metavar="BYTES")
    arguments = parser.parse_args()
    draw = random.Random(1)
    for path in sorted(path for path in arguments.folder.rglob("*") if path.is_file()):
        with path.open(encoding="utf-8", newline="") as file:
            for document in documents(file, arguments.mean, draw):
                print(json.dumps({"text": document}))


if __name__ == "__main__":
    main()
