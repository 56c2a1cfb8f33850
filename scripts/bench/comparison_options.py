"""The command line of compare.py."""

import argparse
import os
import pathlib

import bench_environment

ROOT = pathlib.Path(__file__).resolve().parents[2]
ON_ANY_DEVICE = ("masked", "blocked", "chunked")
ON_CUDA = ("flash", "flex")
SHAPE = {"layers": (6, ""), "width": (256, ""), "heads": (8, "query heads"), "key_heads": (4, "key and value heads"),
         "intermediate": (704, "width inside the MLP"), "vocabulary": (8192, ""),
         "group": (3, "every N-th layer is global, the first one too"),
         "window": (256, "previous tokens that a local layer sees")}
COUNTS = {"batch": (4, "sequences of a step"), "length": (2048, "tokens of a sequence"), "rounds": (5, ""),
          "steps": (5, "of each contender in a round"), "warmup": (1, "steps before them that do not count"),
          "threads": (os.cpu_count(), "of each contender")}


def peer_names(device):
    return [f"{how}-{form}" for form in ON_ANY_DEVICE + (ON_CUDA if device == "cuda" else ()) for how in ("eager", "compile")]


def add_options(parser):
    for option, (value, text) in (SHAPE | COUNTS).items():
        parser.add_argument("--" + option.replace("_", "-"), type=int, default=value, metavar="N",
                            help=f"{text} ({value})".strip())
    parser.add_argument("--cases", metavar="BxT,…", help="several batches and lengths instead of --batch and --length")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is a GPU")
    parser.add_argument("--peers", metavar="NAME,…", help="default: all that the device has")
    parser.add_argument("--weights", choices=("quickest", "masters", "autocast", "float32"), default="quickest",
                        help="of the peers in bf16 (quickest)")
    parser.add_argument("--deterministic", choices=("yes", "no", "both"), default="yes",
                        help="train.deterministic of ours (yes)")
    parser.add_argument("--check", action="store_true", help="compare losses instead of times")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and write nothing")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write every figure to this file")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "build/compare", metavar="FOLDER",
                        help="for data, runs and logs (build/compare)")
    parser.add_argument("--dataset", type=pathlib.Path, metavar="DIR", help="token dataset to train on, with --tokenizer; "
                        "default: Python source, tokenized with --vocabulary pieces")
    parser.add_argument("--tokenizer", type=pathlib.Path, metavar="FILE", help="SentencePiece model")
    parser.add_argument("--zebra", type=pathlib.Path, default=ROOT / "build/zebra", metavar="FILE",
                        help="the command (build/zebra)")
    parser.add_argument("--environment", type=pathlib.Path, default=ROOT / "build/bench-environment", metavar="FOLDER",
                        help="Python environment of the peers, made when absent (build/bench-environment)")
    parser.add_argument("--python", type=pathlib.Path, metavar="FILE", help="interpreter to use instead of that environment")


def read_cases(arguments, parser):
    """Pairs of batch and length."""
    if not arguments.cases:
        return [(arguments.batch, arguments.length)]
    try:
        pairs = [case.split("x") for case in arguments.cases.split(",")]
        return [(int(batch), int(length)) for batch, length in pairs]
    except ValueError:
        parser.error(f"--cases {arguments.cases}: give batch x length, such as 4x2048,1x8192")


def check(arguments, parser):
    known = peer_names(arguments.device)
    for peer in arguments.peers:
        if peer not in known:
            parser.error(f"--peers: there is no {peer} on {arguments.device}; there are {', '.join(known)}")
    counts = [getattr(arguments, option) for option in SHAPE | COUNTS] + [number for case in arguments.cases for number in case]
    if min(counts) < 1:
        parser.error("all sizes and counts must be at least 1")
    if arguments.width % (2 * arguments.heads) or arguments.heads % arguments.key_heads:
        parser.error("--width must be an even multiple of --heads, and --heads a multiple of --key-heads")
    if (arguments.dataset is None) != (arguments.tokenizer is None):
        parser.error("--dataset and --tokenizer belong together")
    for path in (arguments.zebra, arguments.python, arguments.dataset, arguments.tokenizer):
        if path is not None and not path.exists():
            parser.error(f"{path} is not there")
    if arguments.json and not arguments.json.absolute().parent.is_dir():
        parser.error(f"--json {arguments.json}: its folder is not there")


def parse_arguments(description):
    """With `device`, `cases` and `peers` filled in. What does not fit ends the program with status 2."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     allow_abbrev=False)
    add_options(parser)
    arguments = parser.parse_args()
    arguments.device = arguments.device or ("cuda" if bench_environment.gpus() else "cpu")
    arguments.cases = read_cases(arguments, parser)
    arguments.peers = arguments.peers.split(",") if arguments.peers else peer_names(arguments.device)
    check(arguments, parser)
    for name in ("folder", "zebra", "dataset", "tokenizer"):
        if getattr(arguments, name) is not None:
            setattr(arguments, name, getattr(arguments, name).resolve())
    return arguments
