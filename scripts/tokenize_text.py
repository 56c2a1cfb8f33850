#!/usr/bin/env python3
"""Makes a token dataset of JSONL and parquet with the package `tokenizers`, which knows every kind of tokenizer.json.

    python scripts/tokenize_text.py web.jsonl.gz more.parquet --tokenizer tokenizer.json --output data/web

For tokenizers that `zebra data pack` knows too, both write the same dataset. Each document becomes BOS, its tokens, EOS: those of
tokenizer_config.json beside the tokenizer, else those that its post-processor adds; EOS stands for a BOS that neither names. Text
that spells a special token is text. All cores encode; memory is bounded, but for a document's own length.

Needs the packages tokenizers and xxhash; pyarrow for parquet, zstandard for zstd.
"""

import argparse
import gzip
import io
import itertools
import json
import os
import pathlib
import shutil
import sys

# The name says more than `tokenize`, and a file of that name would hide Python's own module from every script beside it.

CHUNK_BYTES = 64 << 20
BATCH_DOCUMENTS, BATCH_CHARACTERS = 4096, 4 << 20


class InputError(Exception):
    """What the user can put right."""


def needed(package, why):
    try:
        return __import__(package)
    except ImportError:
        raise InputError(f"{why} needs the Python package {package}: pip install {package}") from None


def flattened(stage, key):
    """The steps of a stage of tokenizer.json."""
    if stage is None:
        return []
    return [step for part in stage[key] for step in flattened(part, key)] if stage.get("type") == "Sequence" else [stage]


class Vocabulary:
    """What a run knows a tokenizer by: its size, BOS, EOS and hash."""

    def __init__(self, path):
        content = path.read_bytes()
        try:
            file = json.loads(content)
            vocabulary = file["model"]["vocab"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: is not a tokenizer.json: {error!r}") from None
        if isinstance(vocabulary, list):
            vocabulary = {text: number for number, (text, _) in enumerate(vocabulary)}
        self.ids = {**vocabulary, **{token["content"]: token["id"] for token in file.get("added_tokens") or []}}
        self.size = max(itertools.chain(self.ids.values(), vocabulary.values())) + 1
        bos, eos = self.of_post_processor(file.get("post_processor"))
        beside = path.parent / "tokenizer_config.json"
        config = json.loads(beside.read_bytes()) if beside.exists() else {}
        self.bos, self.eos = self.named(config, "bos_token", beside, bos), self.named(config, "eos_token", beside, eos)
        if self.eos is None:
            raise InputError(f"{path}: nothing says which token ends a document; put the model's tokenizer_config.json beside it, "
                             'or one that says {"eos_token": "…"}')
        if self.bos is None:
            self.bos = self.eos
        hash_of = needed("xxhash", "a dataset").xxh3_128_hexdigest
        self.hash = hash_of(content + f"\n{self.bos} {self.eos}".encode())

    def of_post_processor(self, stage):
        bos = eos = None
        for step in flattened(stage, "processors"):
            if step.get("cls") and step.get("sep"):
                bos, eos = self.ids.get(step["cls"][0]), self.ids.get(step["sep"][0])
            behind = False
            for part in step.get("single") or []:
                token = self.ids.get(part["SpecialToken"]["id"]) if "SpecialToken" in part else None
                if "SpecialToken" not in part:
                    behind = True
                elif behind:
                    eos = token if eos is None else eos
                else:
                    bos = token if bos is None else bos
        return bos, eos

    def named(self, config, key, path, otherwise):
        token = config.get(key)
        if token is None:
            return otherwise
        text = token["content"] if isinstance(token, dict) else token
        if text not in self.ids:
            raise InputError(f"{path}: {key}: {text!r} is no token of the tokenizer")
        return self.ids[text]


def lines_of(name, file):
    """The bytes of each line, unpacked by what the file begins with."""
    head = file.peek(4)[:4]
    if head[:2] == b"\x1f\x8b":
        file = gzip.open(file)
    elif head == b"\x28\xb5\x2f\xfd":
        zstandard = needed("zstandard", f"{name}: zstd")
        file = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True))
    try:
        yield from file
    except (OSError, EOFError) as error:
        raise InputError(f"{name}: cannot be unpacked: {error}") from None


def texts_of_lines(name, file, field):
    for number, line in enumerate(lines_of(name, file), 1):
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not line.strip():
            continue
        try:
            text = json.loads(line.decode("utf-8", "replace"))[field]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{name}, line {number}: is no JSON object with the field {field!r}: {error!r}") from None
        if not isinstance(text, str):
            raise InputError(f"{name}, line {number}: the field {field!r} is no text")
        yield text


def texts_of_parquet(name, path, field):
    needed("pyarrow", f"{name}: parquet")
    from pyarrow import parquet

    table = parquet.ParquetFile(path)
    if field not in table.schema_arrow.names:
        raise InputError(f"{name}: has no column {field!r}; it has {', '.join(table.schema_arrow.names)}: give one with --field")
    for number, batch in enumerate(table.iter_batches(batch_size=1024, columns=[field])):
        for row, text in enumerate(batch.column(0).to_pylist()):
            if not isinstance(text, str):
                raise InputError(f"{name}, row {number * 1024 + row}: the column {field!r} holds no text")
            yield text


def texts(inputs, field):
    for name in inputs:
        if name == "-":
            yield from texts_of_lines("standard input", sys.stdin.buffer, field)
            continue
        try:
            with open(name, "rb") as file:
                if file.peek(4)[:4] != b"PAR1":
                    yield from texts_of_lines(name, file, field)
                    continue
        except OSError as error:
            raise InputError(f"{name}: cannot be read: {error.strerror}") from None
        yield from texts_of_parquet(name, name, field)


def batches(of):
    batch, characters = [], 0
    for text in of:
        if not text:
            continue
        if not text.isascii():  # half of a surrogate pair becomes U+FFFD
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        batch.append(text)
        characters += len(text)
        if len(batch) == BATCH_DOCUMENTS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


class ChunkedFile:
    """A file of the dataset, and the hash of each of its chunks."""

    def __init__(self, path):
        self.hasher_of = needed("xxhash", "a dataset").xxh3_128
        self.file, self.hasher, self.bytes, self.hashes = open(path, "wb"), self.hasher_of(), 0, []

    def write(self, data):
        self.file.write(data)
        view = memoryview(data).cast("B")
        while len(view):
            part = view[:CHUNK_BYTES - self.bytes % CHUNK_BYTES]
            self.hasher.update(part)
            self.bytes += len(part)
            view = view[len(part):]
            if self.bytes % CHUNK_BYTES == 0:
                self.end_chunk()

    def end_chunk(self):
        self.hashes.append(self.hasher.hexdigest())
        self.hasher = self.hasher_of()

    def finish(self):
        if self.bytes % CHUNK_BYTES:
            self.end_chunk()
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        return {"bytes": self.bytes, "chunk_hashes": self.hashes}


def token_type(vocabulary):
    return "<u4" if vocabulary.size > 65536 else "<u2"


def write_description(folder, vocabulary, tokens, documents, text_bytes, files):
    """dataset.json as src/data/token_dataset_format.h describes it; `files` are what ChunkedFile.finish() gave, by their names."""
    description = {"format_version": 1, "tokens": tokens, "documents": documents, "text_bytes": text_bytes,
                   "token_bytes": int(token_type(vocabulary)[2]), "vocab_size": vocabulary.size,
                   "tokenizer_hash": vocabulary.hash, "chunk_bytes": CHUNK_BYTES, "files": files}
    compact = json.dumps(description, separators=(",", ":")).encode()
    description["fingerprint"] = needed("xxhash", "a dataset").xxh3_128_hexdigest(compact)
    with open(folder / "dataset.json", "w") as file:
        file.write(json.dumps(description, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return description


def write_dataset(folder, tokenizer, vocabulary, documents):
    """tokens.bin, documents.bin and dataset.json."""
    import numpy as np

    kind = np.dtype(token_type(vocabulary))
    tokens, offsets = ChunkedFile(folder / "tokens.bin"), ChunkedFile(folder / "documents.bin")
    count = text_bytes = number = 0
    for batch in batches(documents):
        encoded = [[vocabulary.bos, *one.ids, vocabulary.eos] for one in tokenizer.encode_batch_fast(batch, add_special_tokens=False)]
        lengths = np.array([len(ids) for ids in encoded], dtype="<u8")
        starts = np.cumsum(lengths, dtype="<u8") - lengths + np.uint64(count)
        offsets.write(starts.astype("<u8").tobytes())
        tokens.write(np.fromiter(itertools.chain.from_iterable(encoded), dtype=kind).tobytes())
        count += int(lengths.sum())
        number += len(batch)
        text_bytes += sum(len(text.encode()) for text in batch)
    if number == 0:
        raise InputError("the inputs hold no text: there is nothing to pack")
    offsets.write(np.array([count], dtype="<u8").tobytes())
    files = {"tokens.bin": tokens.finish(), "documents.bin": offsets.finish()}
    return write_description(folder, vocabulary, count, number, text_bytes, files)


def made_dataset(output, overwrite, write):
    """What write(folder) returns, with a folder beside the output that takes its place when all is written."""
    output = pathlib.Path(output.rstrip("/"))
    if output.exists() and not (overwrite and (output / "dataset.json").exists()):
        raise InputError(f"{output}: exists already" + ("; and is no token dataset" if overwrite else
                         "; choose another output, or give --overwrite"))
    partial = output.with_name(f"{output.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        result = write(partial)
        if output.exists():
            shutil.rmtree(output)
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return result


def run(arguments):
    tokenizers = needed("tokenizers", "encoding")
    path = pathlib.Path(arguments.tokenizer)
    if not path.is_file():
        raise InputError(f"{path}: there is no such tokenizer.json")
    vocabulary = Vocabulary(path)
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True
    tokenizer.no_padding()
    tokenizer.no_truncation()
    description = made_dataset(arguments.output, arguments.overwrite, lambda folder: write_dataset(
        folder, tokenizer, vocabulary, texts(arguments.inputs, arguments.field)))
    print(json.dumps({"path": arguments.output.rstrip("/"), **{key: description[key] for key in ("documents", "tokens", "text_bytes", "fingerprint")}}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", metavar="FILE", help="JSONL (plain, gzip, zstd), parquet, or - for JSONL on standard input")
    parser.add_argument("--tokenizer", required=True, metavar="FILE", help="tokenizer.json")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the new dataset")
    parser.add_argument("--field", default="text", metavar="NAME", help="field or column of the text")
    parser.add_argument("--threads", type=int, metavar="N", help="that encode; by default all cores")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it is a token dataset")
    arguments = parser.parse_args()
    if arguments.threads:
        os.environ["RAYON_NUM_THREADS"] = str(arguments.threads)  # read when the first batch is encoded
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    try:
        run(arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
