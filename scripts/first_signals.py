#!/usr/bin/env python3
"""Which figure sees trouble first: trains a run file as it is and again with the learning rate times --factor, and prints for
each figure of metrics.jsonl the first step at which the second run had left the first one.

A figure has left where it exceeds, in three logged steps in a row, the mean of the healthy run around that step by six of its
standard deviations there (and by a hundredth of the mean). Figures of layers are the largest of the global and of the local ones.

    .venv/bin/python scripts/first_signals.py runs/curves/run.yaml --output runs/signals --set train.max_steps=200
"""

import argparse
import json
import math
import os
import re
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
AROUND = 10  # steps of the healthy run, to either side
IN_A_ROW = 3
DEVIATIONS = 6.0


def learning_rate(run):
    found = re.search(r"^optimizer:\n(?:  .*\n)*?  lr: (\S+)$", (run / "config.yaml").read_text(), re.MULTILINE)
    return float(found[1])


def train(arguments, name, settings):
    folder = arguments.output / name
    command = [str(arguments.zebra), "train", *map(str, arguments.run_files)]
    for setting in [*arguments.set, "logging.layers_every=1", "logging.every_steps=1", "eval.every_steps=0",
                    f"run.dir={folder}", *settings]:
        command += ["--set", setting]
    process = subprocess.run(command, stderr=subprocess.DEVNULL)
    if process.returncode not in (0, 1):  # 1: it diverged, as it may
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return curves([json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()])


def curves(rows):
    """{figure: {step: value}}; what was not finite is infinite."""
    found = {}

    def add(name, step, value):
        found.setdefault(name, {})[step] = math.inf if value is None else value

    for row in rows:
        for name in ("loss", "grad_norm"):
            if name in row:
                add(name, row["step"], row[name])
        for group in ("global_layers", "local_layers", "output_logits"):
            for name, value in row.get(group, {}).items():
                add(f"{group}/{name}", row["step"], value)
    return found


def first_step_beyond(healthy, other):
    """The first of IN_A_ROW steps in which `other` lies beyond the band of `healthy`, or None."""
    beyond = 0
    for step in sorted(other):
        near = [value for at, value in healthy.items() if abs(at - step) <= AROUND and math.isfinite(value)]
        if len(near) < 3:
            continue
        mean = statistics.mean(near)
        bound = mean + max(DEVIATIONS * statistics.pstdev(near), abs(mean) / 100)
        beyond = beyond + 1 if other[step] > bound else 0
        if beyond == IN_A_ROW:
            return step - IN_A_ROW + 1
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_files", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="folder for the two runs")
    parser.add_argument("--factor", type=float, default=20.0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--zebra", type=Path, default=Path(os.environ.get("ZEBRA_BUILD", ROOT / "build")) / "zebra")
    arguments = parser.parse_args()
    healthy = train(arguments, "healthy", [])
    rate = arguments.factor * learning_rate(arguments.output / "healthy")
    unstable = train(arguments, "unstable", [f"optimizer.lr={rate!r}"])
    of_loss = first_step_beyond(healthy["loss"], unstable["loss"])
    print(f"{'figure':<40} {'step':>6} {'before the loss':>16}")
    steps = {name: first_step_beyond(healthy[name], curve) for name, curve in unstable.items() if name in healthy}
    for name, step in sorted(steps.items(), key=lambda item: (item[1] is None, item[1] or 0, item[0])):
        lead = "" if step is None or of_loss is None else of_loss - step
        print(f"{name:<40} {'never' if step is None else step:>6} {lead:>16}")


if __name__ == "__main__":
    main()
