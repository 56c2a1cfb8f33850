#!/usr/bin/env python3
"""Matrix products of a training step, by shape: as src/ops has LibTorch form them, and what else the wheel of torch can do.

    .venv/bin/python scripts/bench/products.py [--types float32,bfloat16] [--rows 8192,2048,512] [--rounds N] [--json FILE]
    .venv/bin/python scripts/bench/products.py --quick

Of each projection of the reference model (docs/performance.md) and of its head: the forward product, the gradient of the input,
and the gradient of the weight, which is added to a float32 sum. The head takes the rows of a chunk of the loss at most.

Weights are packed before the clock starts, as weights could be that are kept between micro-batches. All forms of a product take
turns, on one core; what counts is the processor time of a turn, and the median of the ratios within a round. Every form must
give the same product: the exit status is 1 where one does not. --quick does little, to see that everything runs."""

import argparse
import json
import os
import pathlib
import statistics
import sys
import time

# Large results would otherwise be fresh pages each time; training keeps them (src/ops/tensor_memory.h). Both are read when a
# program starts.
ENVIRONMENT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "OMP_NUM_THREADS": "1"}
if __name__ == "__main__" and any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ENVIRONMENT)

import torch  # noqa: E402

import bench_environment  # noqa: E402
import product_forms  # noqa: E402

WORTH = 1.1  # how many times as quick a form must be to be worth having
SHORTEST = 0.02  # seconds of a turn


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--types", default="float32,bfloat16", metavar="TYPE,…", help="of the factors (float32,bfloat16)")
    parser.add_argument("--rows", default="8192,2048,512", metavar="N,…", help="tokens of a micro-batch (8192,2048,512)")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="turns of each form (9)")
    parser.add_argument("--quick", action="store_true", help="one round of few rows; without figures that mean anything")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write every figure to this file")
    arguments = parser.parse_args()
    arguments.types = arguments.types.split(",")
    for name in arguments.types:
        if name not in product_forms.TYPES:
            parser.error(f"--types: there is no {name}; there are {', '.join(product_forms.TYPES)}")
    try:
        arguments.rows = [int(rows) for rows in arguments.rows.split(",")]
    except ValueError:
        parser.error(f"--rows {arguments.rows}: give numbers such as 8192,2048")
    if min(*arguments.rows, arguments.rounds) < 1:
        parser.error("all sizes and counts must be at least 1")
    if arguments.json and not arguments.json.absolute().parent.is_dir():
        parser.error(f"--json {arguments.json}: its folder is not there")
    if arguments.quick:
        arguments.rows, arguments.rounds = [64], 1
    return arguments


def seconds_of(form, calls):
    """Of the processor, one call."""
    begin = time.thread_time()
    for _ in range(calls):
        form()
    return (time.thread_time() - begin) / calls


def measure(product, rounds, shortest):
    """Seconds of each form in each round. Where a form gives another product: AssertionError."""
    forms = product_forms.forms_of(product)
    for name, form in forms.items():
        product_forms.check(product, name, form)
    calls = {name: max(1, round(shortest / max(seconds_of(form, 1), 1e-9))) for name, form in forms.items()}
    seconds = {name: [] for name in forms}
    for _ in range(rounds):
        for name, form in forms.items():
            seconds[name].append(seconds_of(form, calls[name]))
    return seconds


def ratio(seconds, name):
    """How many times as quick as ours."""
    return statistics.median(ours / other for ours, other in zip(seconds[product_forms.OURS], seconds[name]))


def quickest(seconds):
    """The form that is worth having, or ours."""
    best = max(seconds, key=lambda name: ratio(seconds, name))
    return best if ratio(seconds, best) >= WORTH else product_forms.OURS


def table(rows):
    """Of the products of one type and number of rows: GFLOP/s, and in brackets ratios to ours."""
    others = list(dict.fromkeys(name for _, seconds in rows for name in seconds if name != product_forms.OURS))
    titles = ["product", "rows x in x out", product_forms.OURS, *others]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for product, seconds in rows:
        rate = {name: product.flops / statistics.median(values) / 1e9 for name, values in seconds.items()}
        cells = [f"{rate[name]:.0f} ({ratio(seconds, name):.2f})" if name in seconds else "" for name in others]
        lines.append("| " + " | ".join([f"{product.part}, {product.kind}", f"{product.rows} x {product.inputs} x {product.outputs}",
                                        f"{rate[product_forms.OURS]:.0f}", *cells]) + " |")
    return "\n".join(lines)


def summary(rows):
    """What taking the quickest form of each product would save of all products of a step."""
    names = [(product, quickest(seconds)) for product, seconds in rows]
    taken = [f"{name} for {product.part}, {product.kind}" for product, name in names if name != product_forms.OURS]
    ours = sum(product.calls * statistics.median(seconds[product_forms.OURS]) for product, seconds in rows)
    best = sum(product.calls * statistics.median(seconds[name]) for (product, seconds), (_, name) in zip(rows, names))
    found = "; ".join(taken) if taken else "nothing"
    return (f"Quicker by {100 * (WORTH - 1):.0f} % or more: {found}. All products of a step of the reference model: {1e3 * ours:.0f} ms, "
            f"{1e3 * best:.0f} ms with these ({ours / best:.2f}).")


def machine_text(machine):
    return f"Machine: one core of {machine['processor']} with {' '.join(machine['instruction_sets']) or 'nothing named'}"


def main():
    arguments = parse_arguments()
    machine = bench_environment.machine()
    print(f"{machine_text(machine)}\ntorch {torch.__version__}; GFLOP/s, in brackets times as quick as ours; "
          f"medians of {arguments.rounds} rounds")
    figures = {"machine": machine, "torch": torch.__version__, "measured": []}
    try:
        for type_name in arguments.types:
            for rows in arguments.rows:
                measured = [(product, measure(product, arguments.rounds, 0.0 if arguments.quick else SHORTEST))
                            for product in product_forms.products(type_name, rows)]
                print(f"\n{type_name}, {rows:,} rows\n\n{table(measured)}\n\n{summary(measured)}", flush=True)
                figures["measured"] += [product.description() | {"seconds": seconds} for product, seconds in measured]
    except AssertionError as error:
        print(f"products: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    with torch.no_grad():
        sys.exit(main())
