"""The programs that data_path.py lets tokenize the same text. Each takes text files to a file of token ids, on all threads."""

import dataclasses
import json
import pathlib
import shutil
import subprocess
import time

ENCODE_PEER = pathlib.Path(__file__).with_name("encode_peer.py")


class Unavailable(Exception):
    """What a peer needs is not there."""


@dataclasses.dataclass(frozen=True)
class Corpus:
    text: pathlib.Path  # a folder of UTF-8 files
    parts: list  # the same text in one file for each thread, no line across two of them
    added_newlines: int  # in the parts, behind files without one at their end
    tokenizer: pathlib.Path  # of zebra data pack
    tokenizer_json: pathlib.Path  # the same for the tokenizers library, where it is another; need not exist
    output: pathlib.Path  # a folder for what is written
    threads: int


def zebra_data_pack(zebra, corpus):
    """Seconds, and tokens without those that begin and end documents."""
    began = time.perf_counter()
    result = subprocess.run([zebra, "data", "pack", "--input", corpus.text, "--tokenizer", corpus.tokenizer, "--output",
                             corpus.output / "zebra", "--overwrite", "--threads", str(corpus.threads), "--json"],
                            check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    report = json.loads(result.stdout)
    return seconds, report["tokens"] - 2 * report["documents"]


def python_library(python, library, corpus):
    """Through the library's own batches and threads. Seconds, tokens, and the seconds within the library."""
    model = {"sentencepiece": corpus.tokenizer, "tokenizers": corpus.tokenizer_json}[library]
    if subprocess.run([python, "-c", f"import {library}"], capture_output=True).returncode != 0:
        raise Unavailable(f"{python} has no {library}")
    if not model.exists():
        raise Unavailable("the export has no tokenizer.json")
    result = subprocess.run([python, ENCODE_PEER, library, model, corpus.text, corpus.output / library, str(corpus.threads)],
                            check=True, capture_output=True, text=True)
    answer = json.loads(result.stdout)
    return answer["seconds"], answer["tokens"], answer["encoding"]


def spm_encode(corpus):
    """One process of SentencePiece's program for each part. It encodes lines, and does not tell of the newlines between."""
    if not shutil.which("spm_encode"):
        raise Unavailable("spm_encode is not installed (Debian: sentencepiece)")
    began = time.perf_counter()
    outputs = [corpus.output / f"spm_encode-{number}" for number in range(len(corpus.parts))]
    processes = [subprocess.Popen(["spm_encode", f"--model={corpus.tokenizer}", "--output_format=id", f"--output={output}", part],
                                  stderr=subprocess.DEVNULL) for part, output in zip(corpus.parts, outputs)]
    statuses = [process.wait() for process in processes]
    seconds = time.perf_counter() - began
    if any(statuses):
        raise subprocess.CalledProcessError(max(statuses), "spm_encode")
    ids = sum(len(output.read_bytes().split()) for output in outputs)
    newlines = sum(part.read_bytes().count(b"\n") for part in corpus.parts)
    return seconds, ids + newlines - corpus.added_newlines
