#!/usr/bin/env python3
"""Writes what the package `datasets` saved, and Parquet and Arrow files, as JSONL to standard output.

    python scripts/hf_to_jsonl.py saved/ --split train --columns text | zebra data pack --input - --tokenizer tok.model --output data/train
    python scripts/hf_to_jsonl.py train-*.parquet --columns text,meta | zstd > web.jsonl.zst

PATH is a folder that `save_to_disk` or the cache of `datasets` made, a folder of Parquet or Arrow files (with those below it, sorted by
path), or such files themselves, known by their content. Of a folder with several splits one must be chosen. Rows keep their order and
their columns; memory is bounded by a row group of Parquet, or by some rows of Arrow. Numbers that are none (NaN) are written as Python
does, dates and decimals as text. Needs the package pyarrow and no other.
"""

import argparse
import json
import os
import pathlib
import re
import sys

ROWS_AT_A_TIME = 256
SPLITS = {"train", "training", "validation", "valid", "val", "dev", "test"}
PARQUET, ARROW_FILE, ARROW_STREAM = b"PAR1", b"ARROW1\0\0", b"\xff\xff\xff\xff"


class InputError(Exception):
    """What the user can put right."""


def kind_of(path):
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return next((kind for kind in (PARQUET, ARROW_FILE, ARROW_STREAM) if start.startswith(kind)), None)


def described(path):
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from None


def split_of(folder, split):
    """The folder of one split of what DatasetDict.save_to_disk made."""
    splits = described(folder / "dataset_dict.json").get("splits", [])
    if split in splits:
        return folder / split
    asked = f"there is no split {split!r}" if split else "it has several splits"
    raise InputError(f"{folder}: {asked}; choose one with --split: {', '.join(splits)}")


def is_data(relative):
    """Whether the file is neither hidden nor what `map` and `filter` of datasets keep beside the data."""
    return not any(part.startswith(".") for part in relative.parts) and not relative.name.startswith("cache-")


def files_of(path, split):
    """The data files that PATH stands for, in order."""
    if not path.is_dir():
        return [path]
    if (path / "dataset_dict.json").exists():
        path = split_of(path, split)
        split = None
    if (path / "state.json").exists():
        state = described(path / "state.json")
        if state.get("_indices_data_files"):  # of releases before 2.0
            raise InputError(f"{path}: its rows are in the order of another file; save it anew with a release of datasets since 2.0")
        names = [entry["filename"] for entry in state.get("_data_files") or []]
        if split:
            raise InputError(f"{path}: is one split; leave out --split")
        if names:
            return [path / name for name in names]
    found = {file: set(re.split(r"[-_./]", str(file.relative_to(path)))) for file in sorted(path.rglob("*"))
             if file.suffix in (".parquet", ".arrow") and is_data(file.relative_to(path))}
    info = described(path / "dataset_info.json") if (path / "dataset_info.json").exists() else {}
    splits = sorted((SPLITS | set(info.get("splits") or {})) & set().union(*found.values())) if found else []
    if split is None and len(splits) > 1:
        raise InputError(f"{path}: holds files of several splits; choose one with --split, or name the files: {', '.join(splits)}")
    files = [file for file, words in found.items() if split is None or split in words]
    if not files:
        raise InputError(f"{path}: holds no .parquet and no .arrow file" + (f" of a split {split!r}" if split else ""))
    return files


def columns_in(names, wanted, path):
    missing = [column for column in wanted or [] if column not in names]
    if missing:
        raise InputError(f"{path}: has no column {', '.join(missing)}; it has {', '.join(names)}: give some of them with --columns")
    return wanted or names


def batches_of(path, wanted):
    import pyarrow
    from pyarrow import parquet

    kind = kind_of(path)
    if kind is None:
        raise InputError(f"{path}: is neither Parquet nor Arrow")
    if kind == PARQUET:
        file = parquet.ParquetFile(path)
        columns = columns_in(file.schema_arrow.names, wanted, path)
        yield from file.iter_batches(batch_size=ROWS_AT_A_TIME, columns=columns)
        return
    with pyarrow.memory_map(str(path)) as source:
        if kind == ARROW_FILE:
            reader = pyarrow.ipc.open_file(source)
            batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
        else:
            batches = reader = pyarrow.ipc.open_stream(source)
        columns = columns_in(reader.schema.names, wanted, path)
        for batch in batches:
            batch = batch.select(columns)
            for begin in range(0, batch.num_rows, ROWS_AT_A_TIME):
                yield batch.slice(begin, ROWS_AT_A_TIME)


def as_json(path):
    def convert(value):
        if not isinstance(value, (bytes, bytearray)):
            return str(value)
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise InputError(f"{path}: holds bytes that are no text; name the columns that are with --columns") from None
    return convert


def write_rows(path, wanted, output):
    import pyarrow

    convert = as_json(path)
    try:
        for batch in batches_of(path, wanted):
            for row in batch.to_pylist():
                output.write(json.dumps(row, ensure_ascii=False, default=convert).encode("utf-8", "replace") + b"\n")
    except BrokenPipeError:
        raise
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read to its end: {error}") from None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=pathlib.Path, metavar="PATH", help="folder or file")
    parser.add_argument("--split", help="of a folder with several, such as train")
    parser.add_argument("--columns", type=lambda text: text.split(","), metavar="A,B", help="write these only; by default all")
    arguments = parser.parse_args()
    try:
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise InputError("reading these files needs the Python package pyarrow: pip install pyarrow") from None
        missing = [str(path) for path in arguments.paths if not path.exists()]
        if missing:
            raise InputError("; ".join(f"{path}: there is no such file or folder" for path in missing))
        for path in [file for path in arguments.paths for file in files_of(path, arguments.split)]:
            write_rows(path, arguments.columns, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # who reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
