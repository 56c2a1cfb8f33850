#!/usr/bin/env python3
"""Draws training and validation loss of runs against tokens: RUN/plots/loss.png, or --output FILE for several runs."""

import argparse
import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

SMOOTHED_POINTS = 8  # over about so many logged steps the drawn training loss is averaged; the raw one stays behind it


def rows_of(path):
    """The rows of a file; lines that are none (the last one of a run that was interrupted, say) are left out and told."""
    unreadable = 0
    for line in path.read_text(errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            yield row
        else:
            unreadable += 1
    if unreadable:
        print(f"{path}: {unreadable} lines are no rows of metrics and were left out", file=sys.stderr)


def read_metrics(run):
    path = run / "metrics.jsonl"
    if not path.exists():
        sys.exit(f"{path}: no such file; name a run folder that `zebra train` has written")
    training, validation, tokens_at = [], [], {}
    for row in rows_of(path):
        if "loss" in row:
            tokens_at[row["step"]] = row["tokens"]
            if row["loss"] is not None:
                training.append((row["tokens"], row["loss"]))
        if "validation_loss" in row:
            validation.append((row["step"], row["validation_loss"]))
    return training, [(tokens_at[step], loss) for step, loss in validation if step in tokens_at]


def smoothed(values):
    # A running mean that starts unbiased, as Adam's moments do.
    keep = 1 - 1 / SMOOTHED_POINTS
    mean, weight, result = 0.0, 0.0, []
    for value in values:
        mean = keep * mean + (1 - keep) * value
        weight = keep * weight + (1 - keep)
        result.append(mean / weight)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=pathlib.Path, nargs="+", help="run folders")
    parser.add_argument("--output", type=pathlib.Path, help="PNG file; default: plots/loss.png in the run folder")
    arguments = parser.parse_args()
    if arguments.output is None and len(arguments.runs) > 1:
        parser.error("name a file with --output for several runs")

    figure, axes = plt.subplots(figsize=(8, 5), constrained_layout=True)
    for index, run in enumerate(arguments.runs):
        color = f"C{index}"
        training, validation = read_metrics(run)
        tokens = [point[0] for point in training]
        losses = [point[1] for point in training]
        axes.plot(tokens, losses, color=color, alpha=0.2, linewidth=0.8)
        axes.plot(tokens, smoothed(losses), color=color, label=f"{run.name}: training")
        if validation:
            axes.plot(*zip(*validation), color=color, marker="o", linestyle="--", label=f"{run.name}: validation")
    axes.set_xlabel("tokens")
    axes.set_ylabel("loss (nats per token)")
    axes.grid(alpha=0.3)
    axes.legend()

    output = arguments.output or arguments.runs[0] / "plots" / "loss.png"
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=150)
    print(output)


if __name__ == "__main__":
    main()
