#!/usr/bin/env python3
"""Draws measured against predicted cost by sequence length: seconds of every phase, and their ratio."""

import argparse
import pathlib
import sys

from ablation_report import cost_plots, drawing, files, results_file, shapes


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cost", type=pathlib.Path, metavar="COST.json", help="file with the measurements")
    parser.add_argument("output", type=pathlib.Path, metavar="OUTPUT.svg", help="file for the plot")
    arguments = parser.parse_args()
    try:
        cost = results_file.read_cost(arguments.cost)
    except shapes.InvalidInput as invalid:
        print(f"plot_cost: {invalid}", file=sys.stderr)
        return 2
    layouts = cost_plots.names(cost)
    svg = drawing.svg("cost", cost_plots.measured_and_predicted, cost, layouts, drawing.styles(layouts.values()))
    if svg is None:
        print(f"plot_cost: {arguments.cost}: no row has measured seconds", file=sys.stderr)
        return 2
    try:
        files.write(arguments.output, svg.file())
    except OSError as error:
        print(f"plot_cost: {error.filename}: cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    print(arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
