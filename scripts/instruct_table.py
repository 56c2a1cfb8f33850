#!/usr/bin/env python3
"""Prints the table of scripts/instruct_tiny.sh, as Markdown: exact answers by distance, before and after instruction tuning."""

import argparse
import json
import pathlib
import sys

import numpy as np

from ablation_report.intervals import difference_over_items, over_items

LAYOUTS = {"full": "global layers", "mix": "Zebra layers", "local": "local layers"}
STAGES = {"adapted": "before", "instructed": "after"}
ORIGIN = "pretrained, not adapted"


def read(path):
    if not path.exists():
        sys.exit(f"{path}: no such file; scripts/instruct_tiny.sh makes it")
    return json.loads(path.read_text())


def exact_in(files, span):
    """(exact answers, counts), each [seeds, questions], of the questions at a distance in the span."""
    answers = [[answer for answer in file["answers"] if span[0] <= answer["distance"] < span[1]] for file in files]
    exact = np.array([[answer["exact"] for answer in of_seed] for of_seed in answers], float)
    return exact, np.ones_like(exact)


def shown(estimate, sign=""):
    """In percent, with its interval where there is one."""
    mean = f"{100 * estimate.mean:{sign}.1f}"
    if not estimate.tested:
        return mean
    return f"{mean} [{100 * estimate.low:{sign}.1f}, {100 * estimate.high:{sign}.1f}]"


def print_table(head, rows):
    for row in [head, ["---"] * len(head), *rows]:
        print(f"| {' | '.join(row)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="runs/instruct, which scripts/instruct_tiny.sh has filled")
    parser.add_argument("seeds", nargs="+")
    options = parser.parse_args()

    runs = ["origin", *(f"{layout}-{stage}" for stage in STAGES for layout in LAYOUTS)]
    files = {run: [read(options.folder / seed / f"{run}.json") for seed in options.seeds] for run in runs}
    first = files["origin"][0]  # all are asked the same
    spans = [(row["begin"], row["end"]) for row in first["by_distance"]]
    head = ["exact answers, %, at a distance of", *(f"{begin} to {end - 1}" for begin, end in spans), "all"]
    spans.append((0, float("inf")))
    rows = [["questions", *(str(exact_in([first], span)[0].size) for span in spans)],
            ["best reader without keys", *(f"{100 * row['floor']:.1f}" for row in [*first["by_distance"], first])],
            [ORIGIN, *(shown(over_items(*exact_in(files["origin"], span), share=True)) for span in spans)]]
    for stage, when in STAGES.items():
        for layout, name in LAYOUTS.items():
            shares = [over_items(*exact_in(files[f"{layout}-{stage}"], span), share=True) for span in spans]
            rows.append([f"{when}: {name}", *map(shown, shares)])
    for layout in ("mix", "local"):
        differences = [difference_over_items(exact_in(files[f"{layout}-instructed"], span),
                                             exact_in(files["full-instructed"], span)) for span in spans]
        rows.append([f"after: {LAYOUTS[layout]} less global layers", *(shown(difference, sign="+") for difference in differences)])
    print_table(head, rows)


if __name__ == "__main__":
    main()
