#!/usr/bin/env python3
"""Draws training and validation loss of runs against tokens: RUN/plots/loss.png, or --output FILE for several runs."""

import argparse
import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

MEAN_STEPS = 9  # logged steps of which the thick line is the mean, as many before a step as behind it


def rows_of(path):
    """The rows of a file; lines that are none (the last one of a run that was interrupted, say) are left out and told."""
    unreadable = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            yield row
        else:
            unreadable.append(number)
    if unreadable:
        print(f"{path}: lines that are no rows of metrics are left out: {', '.join(map(str, unreadable))}", file=sys.stderr)


def read_metrics(run):
    path = run / "metrics.jsonl"
    if not path.exists():
        sys.exit(f"{path}: no such file; name a run folder that `zebra train` has written")
    training, validation, tokens_at = [], [], {}
    for row in rows_of(path):
        if "loss" in row and "tokens" in row:
            tokens_at[row["step"]] = row["tokens"]
            if row["loss"] is not None:
                training.append((row["tokens"], row["loss"]))
        if row.get("validation_loss") is not None:
            validation.append((row["step"], row["validation_loss"]))
    return training, [(tokens_at[step], loss) for step, loss in validation if step in tokens_at]


def centred_mean(values):
    """Of as many values before each one as behind it, fewer at both ends. A mean of those before alone would lag: it
    lies above a loss that falls, and so the validation loss beside it would look better than it is."""
    means = []
    for i in range(len(values)):
        reach = min(MEAN_STEPS // 2, i, len(values) - 1 - i)
        means.append(sum(values[i - reach : i + reach + 1]) / (2 * reach + 1))
    return means


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
        axes.plot(tokens, losses, color=color, alpha=0.4, linewidth=0.7, label=f"{run.name}: training, each logged step")
        label = f"{run.name}: training, mean of {MEAN_STEPS} logged steps around"
        axes.plot(tokens, centred_mean(losses), color=color, linewidth=2, label=label)
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
