#!/usr/bin/env python3
"""What sharing sequences costs: tokens per second of two ranks that share each sequence, and of two that have sequences of
their own, at equal tokens. Both train on this host's CPUs, one thread a rank, one after the other; pairs are repeated, so
that a busy machine meets both alike. Needs what `zebra train RUN_FILE` needs. The ratio of the medians is printed last."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
RANKS = 2
STEPS, WARM_UP = 8, 2


def tokens_per_second(run_file, settings, context):
    """The median over the steps behind the warm-up."""
    with tempfile.TemporaryDirectory() as folder:
        values = [f"run.dir={folder}/run", f"parallel.context={context}", f"train.max_steps={STEPS}", "schedule.warmup_steps=1",
                  f"train.global_batch_size={RANKS}", "train.micro_batch_size=1", "logging.every_steps=1", "eval.every_steps=0",
                  "checkpoint.every_steps=1000000", *settings]
        command = ["bash", ROOT / "scripts/launch/mpirun.sh", str(RANKS), run_file]
        command += [word for value in values for word in ("--set", value)]
        result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        if result.returncode != 0:
            sys.exit(result.stdout + result.stderr)
        rows = [json.loads(line) for line in (pathlib.Path(folder) / "run/metrics.jsonl").read_text().splitlines()]
    return statistics.median(row["tokens_per_second"] for row in rows if row["step"] > WARM_UP)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of zebra train")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    shared, own = [], []
    for pair in range(options.pairs):
        for context, rates in [(1, own), (RANKS, shared)][::1 if pair % 2 else -1]:
            rates.append(tokens_per_second(options.run_file, options.set, context))
        print(f"pair {pair + 1}: sequences of their own {own[-1]:,.0f} tok/s, shared {shared[-1]:,.0f}, "
              f"ratio {shared[-1] / own[-1]:.3f}", flush=True)
    print(f"ratio of the medians {statistics.median(shared) / statistics.median(own):.3f}, "
          f"median of the ratios {statistics.median(s / o for s, o in zip(shared, own)):.3f}")


if __name__ == "__main__":
    main()
