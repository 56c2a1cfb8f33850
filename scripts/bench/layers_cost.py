#!/usr/bin/env python3
"""What rows about the layers (logging.layers_every) cost: one training in which every second step is measured, so that each
measured step stands beside one that is not. Prints the difference, its standard error, and its share of a step where every
tenth is measured.

    .venv/bin/python scripts/bench/layers_cost.py configs/quickstart.yaml --steps 60
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIRST_STEPS = 4  # in which memory is taken for the first time


def train(arguments, folder):
    settings = ["logging.layers_every=2", "logging.every_steps=1", "eval.every_steps=0", "checkpoint.every_steps=1000000",
                f"train.max_steps={arguments.steps}", "schedule.warmup_steps=0", f"run.dir={folder}", *arguments.set]
    command = [str(arguments.zebra), "train", *map(str, arguments.run_files)]
    for setting in settings:
        command += ["--set", setting]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL if arguments.quiet else None)
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def paired_differences(rows):
    """Seconds of each measured step, less the mean of its two neighbours, and the seconds of steps that are not measured."""
    ends = {row["step"]: row["seconds"] for row in rows if "loss" in row}
    measured = {row["step"] for row in rows if "layers" in row}
    taken = {step: ends[step] - ends[step - 1] for step in ends if step - 1 in ends and step > FIRST_STEPS}
    plain = [seconds for step, seconds in taken.items() if step not in measured]
    differences = [seconds - (taken[step - 1] + taken[step + 1]) / 2 for step, seconds in taken.items()
                   if step in measured and step - 1 in taken and step + 1 in taken]
    return differences, plain


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_files", nargs="+", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--zebra", type=Path, default=Path(os.environ.get("ZEBRA_BUILD", ROOT / "build")) / "zebra")
    parser.add_argument("--quiet", action="store_true", help="leave out what the training prints")
    arguments = parser.parse_args()
    if arguments.steps < 12:
        parser.error("--steps must be at least 12")
    with tempfile.TemporaryDirectory() as folder:
        differences, plain = paired_differences(train(arguments, Path(folder) / "run"))
    step = statistics.median(plain)
    mean = statistics.mean(differences)
    error = statistics.stdev(differences) / len(differences) ** 0.5
    print(f"a step takes {1e3 * step:.1f} ms, a measured one {1e3 * mean:.2f} +- {1e3 * error:.2f} ms more "
          f"({len(differences)} pairs; median {1e3 * statistics.median(differences):.2f} ms)")
    print(f"at logging.layers_every: 10 that is {100 * mean / (10 * step):.2f} % +- {100 * error / (10 * step):.2f} % of the time")


if __name__ == "__main__":
    main()
