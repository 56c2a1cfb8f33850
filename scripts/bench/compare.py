#!/usr/bin/env python3
"""Trains the same model in PyTorch and with `zebra train`, by turns, and prints the tokens per second of each.

    python3 scripts/bench/compare.py [--cases 4x2048,1x8192] [--peers eager-chunked,compile-chunked] [--json FILE]
    python3 scripts/bench/compare.py --check

A peer is named by how PyTorch runs it, `eager` or `compile` (torch.compile of the loss), and by how local layers compute:
  masked   one call of scaled_dot_product_attention with a dense band mask
  blocked  blocks of W queries against their own keys and those of the block before
  chunked  chunks of 256 queries against exactly the keys that they see
  flash    the window of the package flash-attn, on CUDA
  flex     FlexAttention, on CUDA
Each takes whole steps: loss over all logits, backward, clipping by norm, fused AdamW on float32 weights. With --precision bf16
a peer has bfloat16 weights beside float32 masters, float32 weights under autocast, or, on a CPU, float32 throughout: whichever
is quickest in a trial at its start.

Every round measures every contender once; ratios are taken within a round. With --check nothing is timed: all contenders take
five steps from the same weights on the same batch, and their losses must agree."""

import json
import pathlib
import shutil
import signal
import subprocess
import sys

import bench_environment
import comparison_check
import comparison_run
import comparison_table
import training_data
from comparison_options import SHAPE, parse_arguments
from contenders import Job

OPTIMIZER = {"lr": 1e-3, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1, "grad_clip": 1.0}


def shape_of(arguments):
    return {name: getattr(arguments, name) for name in SHAPE}


def print_plan(arguments):
    machine = bench_environment.machine()
    print(f"Machine: {machine['cores']} cores of {', '.join([machine['processor'], *machine['gpus']])}")
    print(f"Instruction sets: {' '.join(machine['instruction_sets']) or 'unknown'}")
    print("Model: " + ", ".join(f"{name} {value}" for name, value in shape_of(arguments).items()))
    print(f"{arguments.precision} on {arguments.device}, {arguments.threads} threads; weights of the peers: {arguments.weights}")
    print(f"Python of the peers: {arguments.python or arguments.environment}")
    print("Data: " + str(arguments.dataset or f"Python source, in {arguments.folder}"))
    print("Cases: " + ", ".join(f"{batch} x {length} tokens" for batch, length in arguments.cases))
    print(f"Contenders: ours (deterministic: {arguments.deterministic}), {', '.join(arguments.peers)}")
    if arguments.check:
        bound = comparison_check.BOUNDS[arguments.precision]
        print(f"Check: {comparison_check.STEPS} steps, losses within {bound:g} of ours")
    else:
        print(f"Measurement: {arguments.rounds} rounds, each of {arguments.warmup} + {arguments.steps} steps")


def data_of(arguments, length, folder):
    """What all contenders of a case read."""
    if arguments.dataset:
        data = training_data.TrainingData(arguments.tokenizer, arguments.dataset)
    else:
        data = training_data.of_python_source(arguments.folder / f"data-{arguments.vocabulary}", arguments.vocabulary)
    if not arguments.check:
        return data
    return training_data.of_one_sequence(arguments.zebra, data.tokenizer, length, folder / "one-sequence")


def prepare_job(arguments, python, batch, length, folder):
    """The job of a case, with its data and its initial weights, both as safetensors and as a checkpoint."""
    data = data_of(arguments, length, folder)
    (folder / "shape.json").write_text(json.dumps(shape_of(arguments)))
    subprocess.run([python, pathlib.Path(__file__).with_name("initial_model.py"), folder / "shape.json", str(length),
                    folder / "initial"], check=True)
    subprocess.run([arguments.zebra, "import", folder / "initial", "--tokenizer", data.tokenizer, "--output",
                    folder / "initial-checkpoint"], check=True, capture_output=True, text=True)
    return Job(shape_of(arguments), batch, length, arguments.precision, arguments.device, arguments.threads, data.dataset,
               data.tokenizer, folder / "initial/model.safetensors", folder / "initial-checkpoint", OPTIMIZER)


def jobs(arguments, python):
    """The job of each case, and an empty folder for it."""
    for batch, length in arguments.cases:
        folder = arguments.folder / f"case-{batch}x{length}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        yield prepare_job(arguments, python, batch, length, folder), folder


def check(arguments, python):
    """Exit status: 0 where all agree."""
    agreements = [comparison_check.check_case(arguments, python, job, folder) for job, folder in jobs(arguments, python)]
    return 0 if all(agreements) else 1


def compare(arguments, python):
    """Exit status: 0 where every case has at least one ratio."""
    progress = comparison_run.Progress(arguments.rounds * len(arguments.cases))
    cases = []
    for job, folder in jobs(arguments, python):
        results = comparison_run.measure_case(arguments, python, job, folder, progress)
        print(f"\n{job.batch} sequences of {job.length:,} tokens\n\n{comparison_table.case_table(results)}", flush=True)
        cases.append({"batch": job.batch, "length": job.length, "contenders": comparison_table.case_json(results)})
    if arguments.json:
        settings = {name: value if isinstance(value, (int, list)) else str(value) for name, value in vars(arguments).items()}
        figures = {"machine": bench_environment.machine(), "settings": settings, "cases": cases}
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    has_ratio = [any(row.get("ratios") for row in case["contenders"]) for case in cases]
    return 0 if all(has_ratio) else 1


def main():
    arguments = parse_arguments(__doc__)
    print_plan(arguments)
    if arguments.dry_run:
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that contenders end with it
    python = arguments.python or bench_environment.python_of(arguments.environment)
    try:
        return (check if arguments.check else compare)(arguments, python)
    except subprocess.CalledProcessError as error:
        print(f"compare: {error}\n{error.stderr or ''}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
