#!/usr/bin/env python3
"""What saving checkpoints costs training: one run of the 125M-parameter preset that is stopped and resumed again and again,
saving in the background and with a blocking save by turns. Prints, for both, the median time that the loop stood still for a
save, and how much longer steps took while one was being written.

    .venv/bin/python scripts/bench/saving.py FOLDER [--rounds N]

FOLDER receives the data and the run (some 10 GB) and is kept."""

import argparse
import json
import pathlib
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
EVERY = 5  # steps from one checkpoint to the next
SAVES = 3  # of each start, besides the one at its end

RUN_FILE = """\
run: {{name: saving, dir: {folder}/run, seed: 1}}
model: {{preset: zebra-125m, vocab_size: 32000}}
data:
  tokenizer: {folder}/tokenizer.model
  train: [{{path: {folder}/data/train}}]
  sequence_length: 256
train: {{max_steps: 100000, global_batch_size: 1, micro_batch_size: 1, precision: bf16}}
checkpoint: {{every_steps: {every}, keep_last: 1}}
logging: {{every_steps: 1}}
"""


def train(run_file, stop_after, asynchronous):
    subprocess.run([ROOT / "build/zebra", "train", run_file, "--stop-after", str(stop_after),
                    "--set", f"checkpoint.asynchronous={str(asynchronous).lower()}"], check=True, stderr=subprocess.DEVNULL)


def measured(run, first, last):
    """Seconds that each save cost, and seconds of the steps after a save and of the others, of steps first to last."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if first < row["step"] <= last]  # the first step of a process warms up
    lost = [row["checkpoint_seconds_lost"] for row in rows if "checkpoint_seconds_lost" in row]
    seconds = {row["step"]: row["tokens"] / row["step"] / row["tokens_per_second"] for row in rows}
    after = [seconds[step] for step in seconds if step % EVERY == 1]
    others = [seconds[step] for step in seconds if step % EVERY in (3, 4)]
    return lost, after, others


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3, help="starts in each of the two ways (3)")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["bash", ROOT / "scripts/python_data.sh", folder, "4096"], check=True)
    run_file = folder / "run.yaml"
    run_file.write_text(RUN_FILE.format(folder=folder, every=EVERY))

    results = {True: ([], [], []), False: ([], [], [])}
    step = 0
    train(run_file, 1, True)
    for number in range(arguments.rounds):
        for asynchronous in (True, False):
            begin = step + 1
            step += (SAVES + 1) * EVERY
            train(run_file, step, asynchronous)
            for all_values, values in zip(results[asynchronous], measured(folder / "run", begin, step - 1)):
                all_values.extend(values)
            print(f"round {number + 1} of {arguments.rounds}, {'background' if asynchronous else 'blocking'} saves done", flush=True)

    size = sum(path.stat().st_size for path in (folder / "run/checkpoints").rglob("*") if path.is_file())
    print(f"\ncheckpoint of {size / 2**30:.2f} GiB\n")
    print("| saving | saves | loop stands still, median (all) | step after a save | other steps |")
    print("|---|---|---|---|---|")
    for asynchronous, (lost, after, others) in results.items():
        print(f"| {'in the background' if asynchronous else 'blocking'} | {len(lost)} | {statistics.median(lost):.2f} s "
              f"({min(lost):.2f} to {max(lost):.2f}) | {statistics.median(after):.2f} s | {statistics.median(others):.2f} s |")


if __name__ == "__main__":
    main()
