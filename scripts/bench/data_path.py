#!/usr/bin/env python3
"""What the way of the data takes: text to tokens with `zebra data pack` and with other programs, by turns; and tokens into
training.

    python3 scripts/bench/data_path.py [--text FOLDER] [--megabytes N] [--rounds N] [--json FILE] [--tokenizer tokenizer.json]

All programs read the same files with the same tokenizer and write token ids, on all threads; their numbers of tokens must
agree. With --tokenizer those are `zebra data pack` and the package `tokenizers`, of which it also prints what encoding alone
takes. Without it a SentencePiece model is trained, and what the loader delivers comes from `zebra bench`, beside what the reference
model trains on."""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

import bench_environment
import comparison_table
import loader_rate
import packing_peers

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPACE_MARK = "\u2581"  # a space to SentencePiece, so that `zebra data pack` replaces it


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=pathlib.Path, default=ROOT / ".venv/lib", metavar="FOLDER",
                        help="folder whose files of Python source are taken in sorted order (.venv/lib)")
    parser.add_argument("--tokenizer", type=pathlib.Path, metavar="FILE", help="a tokenizer.json that Zebra and tokenizers both know")
    for option, value, text in (("megabytes", 64, "of text"), ("vocabulary", 8192, ""), ("rounds", 5, ""),
                                ("threads", os.cpu_count(), "")):
        parser.add_argument(f"--{option}", type=int, default=value, metavar="N", help=f"{text} ({value})".strip())
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write every figure to this file")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "build/data-path", metavar="FOLDER",
                        help="for text, tokens and runs (build/data-path)")
    parser.add_argument("--zebra", type=pathlib.Path, default=ROOT / "build/zebra", metavar="FILE",
                        help="the command (build/zebra)")
    parser.add_argument("--environment", type=pathlib.Path, default=ROOT / "build/bench-environment", metavar="FOLDER",
                        help="Python environment of the other libraries, made when absent (build/bench-environment)")
    parser.add_argument("--python", type=pathlib.Path, metavar="FILE", help="interpreter to use instead of that environment")
    arguments = parser.parse_args()
    for path in (arguments.text, arguments.zebra, arguments.python, arguments.tokenizer):
        if path is not None and not path.exists():
            parser.error(f"{path} is not there")
    if arguments.json and not arguments.json.absolute().parent.is_dir():
        parser.error(f"--json {arguments.json}: its folder is not there")
    if min(arguments.megabytes, arguments.vocabulary, arguments.rounds, arguments.threads) < 1:
        parser.error("all sizes and counts must be at least 1")
    return arguments


def usable_files(folder):
    """Path and content of Python source that all programs must encode alike."""
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        try:
            if content and SPACE_MARK not in content.decode():
                yield path, content
        except UnicodeDecodeError:
            continue


def prepare_text(source, megabytes, parts, folder):
    """Copies files into `folder`, and their text into `parts`, evenly. Returns bytes, and newlines that the parts have beside
    those of the files."""
    folder.mkdir(parents=True)
    size = added = 0
    files = [part.open("wb") for part in parts]
    for number, (_, content) in enumerate(usable_files(source)):
        if size >= megabytes * 1_000_000:
            break
        (folder / f"{number:06}.py").write_bytes(content)
        part = files[number % len(files)]
        part.write(content)
        if not content.endswith(b"\n"):
            part.write(b"\n")
            added += 1
        size += len(content)
    for file in files:
        file.close()
    return size, added


def run_zebra(arguments, *words):
    subprocess.run([arguments.zebra, *map(str, words)], check=True, capture_output=True, text=True)


def prepare_corpus(arguments, folder):
    """The corpus, with the tokenizer.json given or one from an export, and its size in bytes."""
    parts = [folder / f"part-{number}.txt" for number in range(arguments.threads)]
    size, added = prepare_text(arguments.text, arguments.megabytes, parts, folder / "text")
    (folder / "output").mkdir()
    if arguments.tokenizer:
        return packing_peers.Corpus(folder / "text", parts, added, arguments.tokenizer, arguments.tokenizer, folder / "output",
                                    arguments.threads), size
    tokenizer = folder / "tokenizer.model"
    run_zebra(arguments, "data", "tokenizer", "--input", folder / "text", "--vocab-size", arguments.vocabulary,
              "--output", tokenizer)
    run_zebra(arguments, "data", "pack", "--input", folder / "text", "--tokenizer", tokenizer, "--output", folder / "data")
    # tokenizer.json comes with an export, and that with a model.
    loader_rate.write_run_file(folder / "smallest/run.yaml", loader_rate.SMALLEST, tokenizer, folder / "data", steps=1)
    run_zebra(arguments, "train", folder / "smallest/run.yaml")
    run_zebra(arguments, "export", folder / "smallest/run", "--output", folder / "exported")
    return packing_peers.Corpus(folder / "text", parts, added, tokenizer, folder / "exported/tokenizer.json", folder / "output",
                                arguments.threads), size


def measure_packing(arguments, python, corpus, size):
    """Seconds of each round and tokens, by program (of Python's also the seconds within the library); and why others are not among
    them."""
    programs = {"zebra data pack": lambda: packing_peers.zebra_data_pack(arguments.zebra, corpus),
                "sentencepiece (Python)": lambda: packing_peers.python_library(python, "sentencepiece", corpus),
                "spm_encode": lambda: packing_peers.spm_encode(corpus),
                "tokenizers": lambda: packing_peers.python_library(python, "tokenizers", corpus)}
    if arguments.tokenizer:
        programs = {name: programs[name] for name in ("zebra data pack", "tokenizers")}
    measured, missing = {}, {}
    for number in range(1, arguments.rounds + 1):
        for name in list(programs) if number % 2 else reversed(list(programs)):
            try:
                seconds, tokens, *within = programs[name]()
            except packing_peers.Unavailable as unavailable:
                missing[name] = str(unavailable)
                del programs[name]
                continue
            measured.setdefault(name, []).append((seconds, tokens, *within))
            print(f"round {number} of {arguments.rounds}: {name}: {size / 1e6 / seconds:.2f} MB/s, {tokens:,} tokens",
                  file=sys.stderr, flush=True)
    return measured, missing


def packing_table(measured, missing, size):
    spread_text = comparison_table.spread_text
    ours = [seconds for seconds, _ in measured["zebra data pack"]]

    def ratio_to_ours(peer_seconds):
        return spread_text([peer / own for own, peer in zip(ours, peer_seconds)], ".2f")

    lines = ["| program | MB/s | tokens/s | zebra data pack / it |", "|---|---|---|---|"]
    for name, rounds in measured.items():
        ratio = "" if name == "zebra data pack" else ratio_to_ours([seconds for seconds, *_ in rounds])
        lines.append(f"| {name} | {spread_text([size / 1e6 / seconds for seconds, *_ in rounds], '.2f')} | "
                     f"{spread_text([tokens / seconds for seconds, tokens, *_ in rounds], ',.0f')} | {ratio} |")
    lines += [f"| {name} (not there: {why}) | | | |" for name, why in missing.items()]
    within = [seconds for *_, seconds in measured.get("tokenizers", [])]
    if within:
        lines.append(f"\nEncoding alone takes tokenizers {ratio_to_ours(within)} times what `zebra data pack` takes with reading and "
                     "writing.")
    return "\n".join(lines)


def measure(arguments, python):
    """Exit status: 0 where all programs made the same number of tokens."""
    folder = arguments.folder.resolve() / "work"
    shutil.rmtree(folder, ignore_errors=True)
    corpus, size = prepare_corpus(arguments, folder)
    packing, missing = measure_packing(arguments, python, corpus, size)
    vocabulary = arguments.tokenizer or f"vocabulary {arguments.vocabulary:,}"
    print(f"{size / 1e6:.1f} MB of text, {vocabulary}, {arguments.threads} threads\n\n"
          f"{packing_table(packing, missing, size)}\n", flush=True)
    counts = {name: sorted({tokens for _, tokens, *_ in rounds}) for name, rounds in packing.items()}
    if len({count for all_counts in counts.values() for count in all_counts}) != 1:
        print(f"data_path: the numbers of tokens differ: {counts}", file=sys.stderr)
        return 1
    figures = {"machine": bench_environment.machine(), "text_bytes": size, "packing": packing, "missing": missing}
    if not arguments.tokenizer:
        figures |= measure_loader(arguments, corpus, folder)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def measure_loader(arguments, corpus, folder):
    loaded, trained = loader_rate.rates(arguments.zebra, corpus.tokenizer, folder / "data", folder / "loading")
    print(f"The loader delivers {loaded:,.0f} tokens/s, {loaded / trained:,.0f} times what 6 layers of width 256 train on "
          f"({trained:,.0f}).")
    return {"loaded": loaded, "trained": trained}


def main():
    arguments = parse_arguments()
    python = arguments.python or bench_environment.python_of(arguments.environment)
    try:
        return measure(arguments, python)
    except subprocess.CalledProcessError as error:
        print(f"data_path: {error}\n{error.stderr or ''}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
