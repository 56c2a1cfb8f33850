"""Compiles every CUDA kernel and reports its registers, memory, occupancy and instructions as
Markdown. Exit status 1 if a kernel spills registers or uses local memory."""

import argparse
import json
import os
import pathlib
import sys
import tempfile

from . import comparison, compilation, disassembly, kernels, measured, occupancy, tables


def _as_json(kernel):
    loop = kernel.loop
    return {
        "class": kernel.kernel_class, "kernel": kernel.name, "head_size": kernel.head_size,
        "architecture": kernel.architecture, "source": kernel.compiled.source.name,
        "registers": kernel.compiled.registers, "spill_bytes": kernel.compiled.spill_bytes,
        "stack_bytes": kernel.compiled.stack_bytes,
        "static_shared_bytes": kernel.compiled.static_shared_bytes, **kernel.facts,
        "blocks": {gpu.name: kernel.blocks_on(gpu) for gpu in occupancy.ALL
                   if gpu.architecture == kernel.architecture},
        "instructions": kernel.counts,
        "pass": loop and {name: disassembly.counts_of(getattr(loop, name))
                          for name in ("free", "masked", "empty")},
        "fewest": kernel.fewest,
    }


def _arguments():
    parser = argparse.ArgumentParser(prog="kernel_report.sh", description=__doc__)
    parser.add_argument("--arch", action="append", choices=["sm_80", "sm_90"],
                        help="target; may be given twice; default: both")
    parser.add_argument("--model", action="store_true",
                        help="also a model of the expected speed (not a measurement)")
    parser.add_argument("--measured", type=pathlib.Path, metavar="RESULTS.json",
                        help="also what a card measured (scripts/gpu/run.sh), beside the model")
    parser.add_argument("--output", type=pathlib.Path, metavar="FILE",
                        help="where the Markdown goes instead of standard output")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="the numbers as JSON")
    parser.add_argument("--build-folder", metavar="FOLDER",
                        default=os.environ.get("ZEBRA_KERNEL_REPORT_FOLDER"),
                        help="keeps what is compiled, by a hash of its sources; default: "
                        "$ZEBRA_KERNEL_REPORT_FOLDER, else a temporary folder")
    return parser.parse_args()


def main():
    arguments = _arguments()
    try:
        results = arguments.measured and measured.read(arguments.measured)
    except measured.UnknownResults as unknown:
        sys.exit(f"kernel_report: {unknown}")
    with tempfile.TemporaryDirectory() as temporary:
        compiler = compilation.Compiler(arguments.build_folder or temporary)
        try:
            architectures = arguments.arch or ["sm_80", "sm_90"]
            compiled = kernels.compile_kernels(compiler, architectures)
            row_kernels = kernels.compile_row_kernels(compiler, architectures)
        except compilation.MissingTool as missing:
            sys.exit(f"kernel_report: {missing}")
    numbers = {"kernels": [_as_json(kernel) for kernel in compiled]}
    text = tables.report(compiled) + "\n" + tables.row_report(row_kernels)
    if arguments.model:
        numbers["model"] = comparison.compare(compiled)
        numbers["model_checks"] = comparison.check()
        text += "\n" + tables.model_report(numbers["model"], numbers["model_checks"])
    if results:
        text += "\n" + measured.report(results, numbers.get("model") or comparison.compare(compiled))
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=1) + "\n")
    if arguments.output:
        arguments.output.write_text(text)
    else:
        print(text, end="")
    if faults := [fault for kernel in compiled + row_kernels for fault in kernel.faults()]:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
