#!/usr/bin/env python3
"""Prints the table of scripts/adapt_tiny.sh, as Markdown: perplexity by length before and after adaptation, and its cost."""

import argparse
import json
import math
import pathlib
import statistics
import sys

# Runs and what they are.
RUNS = {
    "origin": "before: the origin itself, global layers",
    "before-full": "before: global layers, scaled positions",
    "before-zebra": "before: Zebra layers, scaled positions",
    "before-local": "before: local layers, scaled positions",
    "short": "after: global layers, trained at the original length",
    "full": "after: global layers",
    "zebra": "after: Zebra layers",
    "local": "after: local layers",
    "linear": "after: Zebra layers, linear scaling",
}
COSTED = ["full", "zebra", "local"]  # those of one length


def read(path):
    if not path.exists():
        sys.exit(f"{path}: no such file; scripts/adapt_tiny.sh makes it")
    return path.read_text()


def perplexities(evaluation):
    """At each length, and of the predictions in the last range of positions at the longest."""
    losses = [row["loss"] for row in [*evaluation["by_length"], evaluation["by_position"][-1]]]
    return [f"{math.exp(loss):.3f}" for loss in losses]


def tokens_per_second(run):
    """Median over the logged steps but the first, in which memory is still being got."""
    rows = [json.loads(line) for line in read(run / "metrics.jsonl").splitlines()]
    return statistics.median([row["tokens_per_second"] for row in rows if "loss" in row][1:])


def cost(folder, name, length):
    plan = json.loads(read(folder / f"evaluation/{name}.plan.json"))
    cache = next(row["bytes"] for row in plan["key_value_cache"] if row["length"] == length)
    return [f"{tokens_per_second(folder / name):,.0f}", f"{plan['cost_relative_to_full_attention']:.3f}",
            f"{cache / 1024:,.0f} KiB"]


def print_table(head, rows):
    for row in [head, ["---"] * len(head), *rows]:
        print(f"| {' | '.join(row)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="runs/adapt, which scripts/adapt_tiny.sh has filled")
    folder = parser.parse_args().folder

    evaluations = {name: json.loads(read(folder / f"evaluation/{name}.json")) for name in RUNS}
    lengths = [row["length"] for row in evaluations["origin"]["by_length"]]
    last = evaluations["origin"]["by_position"][-1]
    print_table(["perplexity at length", *map(str, lengths), f"at {lengths[-1]}, positions {last['begin']} to {last['end'] - 1}"],
                [[description, *perplexities(evaluations[name])] for name, description in RUNS.items()])
    print()
    print_table([f"at length {lengths[-1]}", "training, tokens/s", "FLOPs, of full", "key-value cache (bf16)"],
                [[RUNS[name].removeprefix("after: "), *cost(folder, name, lengths[-1])] for name in COSTED])


if __name__ == "__main__":
    main()
