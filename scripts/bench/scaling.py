#!/usr/bin/env python3
"""How attention and whole training steps scale on a CPU: with threads, length, window and width, as tables in Markdown.

    .venv/bin/python scripts/bench/scaling.py [--threads 1,2] [--lengths 512,…] [--windows 64,…] [--widths 256,…] [--json FILE]
    .venv/bin/python scripts/bench/scaling.py --quick

Attention is that of local layers, forward and backward, heads of 64, by build/tests/zebra_bench_attention; a step is that of a
model of four layers (one global), by `zebra bench` on Python source. GFLOP/s count visible pairs and the model's own products
alone. "of products" is the share of what a large matrix product of LibTorch reached in the same type, with as many threads, in
the same repetition; of a step that is its MFU. --quick takes a few sizes of each, to see that everything runs."""

import argparse
import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys

import bench_environment
import training_data

ROOT = bench_environment.ROOT
HEAD_SIZE = 64
LENGTH, WINDOW, HEADS = 4096, 512, 8  # of attention, where they are not what varies
STEP_LENGTH, STEP_WINDOW, STEP_VOCABULARY = 2048, 256, 8192
SIZES = {"lengths": [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536], "windows": [64, 128, 256, 512, 1024, 2048, 4096],
         "widths": [256, 512, 1024, 2048]}
QUICK_SIZES = {"lengths": [512, 4096, 16384], "windows": [64, 512, 4096], "widths": [256, 512]}
TYPES = {"bf16": "bfloat16", "fp32": "float32"}


def numbers(text):
    found = sorted({int(part) for part in text.split(",")})
    if found[0] < 1:
        raise argparse.ArgumentTypeError("give numbers from 1, such as 512,4096")
    return found


def default_threads():
    """Powers of two, and all cores."""
    cores = os.cpu_count()
    return sorted({*(1 << power for power in range(cores.bit_length()) if 1 << power < cores), cores})


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--threads", type=numbers, default=default_threads(), metavar="N,…", help="default: 1, 2, 4, … and all cores")
    parser.add_argument("--lengths", type=numbers, metavar="T,…", help="of a sequence (512 to 65,536)")
    parser.add_argument("--windows", type=numbers, metavar="W,…", help="(64 to 4,096)")
    parser.add_argument("--widths", type=numbers, metavar="N,…", help="of the model, multiples of 64 (256 to 2,048)")
    parser.add_argument("--precision", choices=TYPES, default="bf16", help="(bf16)")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="of each case of attention, and steps that count (5)")
    parser.add_argument("--quick", action="store_true", help="a few sizes, two repetitions")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write every figure to this file")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "runs/scaling", metavar="DIR", help="for data and run files")
    parser.add_argument("--dataset", type=pathlib.Path, metavar="DIR", help="instead of Python source; needs --tokenizer")
    parser.add_argument("--tokenizer", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--zebra", type=pathlib.Path, default=ROOT / "build/zebra", metavar="FILE")
    parser.add_argument("--attention", type=pathlib.Path, default=ROOT / "build/tests/zebra_bench_attention", metavar="FILE")
    arguments = parser.parse_args()
    for name, sizes in (QUICK_SIZES if arguments.quick else SIZES).items():
        setattr(arguments, name, getattr(arguments, name) or sizes)
    if arguments.quick:
        arguments.repetitions = 2
    if any(width % HEAD_SIZE for width in arguments.widths):
        parser.error(f"--widths: give multiples of {HEAD_SIZE}")
    if arguments.repetitions < 1:
        parser.error("--repetitions: give at least 1")
    if bool(arguments.dataset) != bool(arguments.tokenizer):
        parser.error("--dataset and --tokenizer belong together")
    for program in (arguments.zebra, arguments.attention):
        if not program.exists():
            parser.error(f"{program} is not there: cmake --build build --target zebra zebra_bench_attention")
    if arguments.json and not arguments.json.absolute().parent.is_dir():
        parser.error(f"--json {arguments.json}: its folder is not there")
    return arguments


def attention(arguments, threads, lengths, windows, heads):
    """Rows of zebra_bench_attention, one for each length and window."""
    arguments.folder.mkdir(parents=True, exist_ok=True)
    file = arguments.folder / "attention.csv"
    command = [arguments.attention, "--device", "cpu", "--peers", "none", "--type", TYPES[arguments.precision], "--threads", threads,
               "-D", HEAD_SIZE, "-H", heads, "-T", ",".join(map(str, lengths)), "-W", ",".join(map(str, windows)),
               "--repetitions", arguments.repetitions, "--csv", file]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    with open(file, newline="") as rows:
        return [{"threads": threads, "length": int(row["T"]), "window": int(row["W"]), "width": int(row["H"]) * HEAD_SIZE,
                 "instruction_set": row["instruction_set"], "nanoseconds_per_token": 1e6 * float(row["both_ms"]) / int(row["T"]),
                 "gflops": float(row["both_gflops"]), "share": float(row["share_of_product"])} for row in csv.DictReader(rows)]


def run_file(arguments, data, width):
    heads = width // HEAD_SIZE
    path = arguments.folder / f"width-{width}.yaml"
    path.write_text(json.dumps({  # which is YAML
        "run": {"dir": str(arguments.folder / "run"), "device": "cpu"},
        "model": {"hidden_size": width, "intermediate_size": -(-8 * width // (3 * 64)) * 64, "num_hidden_layers": 4,
                  "num_attention_heads": heads, "num_key_value_heads": max(1, heads // 2), "layer_group_size": 4,
                  "window_size": STEP_WINDOW},
        "data": {"tokenizer": str(data.tokenizer), "train": [{"path": str(data.dataset)}], "sequence_length": STEP_LENGTH},
        "train": {"max_steps": 1000, "global_batch_size": 1, "precision": arguments.precision}}))
    return path


def step(arguments, data, threads, width):
    """Figures of `zebra bench`."""
    file = arguments.folder / "step.json"
    subprocess.run([arguments.zebra, "bench", run_file(arguments, data, width), "--warm-up", "1", "--steps", str(arguments.repetitions),
                    "--json", file], check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)})
    figures = json.loads(file.read_text())
    return {"threads": threads, "width": width, "nanoseconds_per_token": 1e9 / figures["tokens_per_second"],
            "gflops": figures["training_flops_per_token"] * figures["tokens_per_second"] / 1e9, "share": figures["mfu"]}


def cells(row):
    return [f"{row['nanoseconds_per_token']:,.0f}", f"{row['gflops']:,.0f}", f"{100 * row['share']:.0f} %"]


def table(rows, key, title):
    """One line for each value of `key`, three columns for each number of threads, and what the threads gain."""
    all_threads = list(dict.fromkeys(row["threads"] for row in rows))
    titles = [title]
    for threads in all_threads:
        name = f"{threads} thread" + ("s" if threads > 1 else "")
        titles += [f"{name}: ns per token", "GFLOP/s", "of products"]
    titles += [f"{threads} / {all_threads[0]} threads" for threads in all_threads[1:]]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for value in dict.fromkeys(row[key] for row in rows):
        of_value = {row["threads"]: row for row in rows if row[key] == value}
        line = [f"{value:,}", *(cell for threads in all_threads for cell in cells(of_value[threads]))]
        first = of_value[all_threads[0]]["nanoseconds_per_token"]
        line += [f"{first / of_value[threads]['nanoseconds_per_token']:.2f}" for threads in all_threads[1:]]
        lines.append("| " + " | ".join(line) + " |")
    return "\n".join(lines)


def flatness(rows):
    """How far times per token at lengths of several windows are from their median."""
    lines = []
    for threads in dict.fromkeys(row["threads"] for row in rows):
        long = [row["nanoseconds_per_token"] for row in rows if row["threads"] == threads and row["length"] >= 4 * row["window"]]
        if len(long) > 1:
            middle = statistics.median(long)
            lines.append(f"{threads} thread{'s' if threads > 1 else ''}: from {4 * WINDOW:,} tokens on, time per token from "
                         f"{min(long) / middle - 1:+.0%} to {max(long) / middle - 1:+.0%} of its median.")
    return "\n".join(lines)


def main():
    arguments = parse_arguments()
    machine = bench_environment.machine()
    print(f"Machine: {machine['cores']} cores of {machine['processor']} with {' '.join(machine['instruction_sets']) or 'nothing named'}")
    figures = {"machine": machine, "precision": arguments.precision}

    def show(name, key, title, heading, rows):
        rows = list(rows)
        figures[name] = rows
        print(f"\n{heading}\n\n{table(rows, key, title)}", flush=True)
        return rows

    def over_threads(measure):
        return (row for threads in arguments.threads for row in measure(threads))

    try:
        rows = show("by_length", "length", "T", f"Local attention, {arguments.precision}, {HEADS} heads of {HEAD_SIZE}, W {WINDOW}",
                    over_threads(lambda threads: attention(arguments, threads, arguments.lengths, [WINDOW], HEADS)))
        print(f"\n{flatness(rows)}\nInstruction set: {rows[0]['instruction_set']}.")
        show("by_window", "window", "W", f"The same, T {2 * LENGTH:,}",
             over_threads(lambda threads: attention(arguments, threads, [2 * LENGTH], arguments.windows, HEADS)))
        show("by_heads", "width", "width", f"The same, T {LENGTH:,}, W {WINDOW}, width / {HEAD_SIZE} heads",
             over_threads(lambda threads: (row for width in arguments.widths for row in
                                           attention(arguments, threads, [LENGTH], [WINDOW], width // HEAD_SIZE))))
        if arguments.dataset:
            data = training_data.TrainingData(arguments.tokenizer, arguments.dataset)
        else:
            data = training_data.of_python_source(arguments.folder / f"data-{STEP_VOCABULARY}", STEP_VOCABULARY)
        show("steps", "width", "width", f"A training step, {arguments.precision}, 4 layers (1 global), W {STEP_WINDOW}, "
             f"1 x {STEP_LENGTH:,} tokens",
             over_threads(lambda threads: (step(arguments, data, threads, width) for width in arguments.widths)))
    except subprocess.CalledProcessError as error:
        print(f"scaling: {error}\n{error.stderr or ''}", file=sys.stderr)
        return 1
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
