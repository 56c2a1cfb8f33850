"""Inputs are known by their content: what is read as it is meant, and what is refused in one message without a dataset."""

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import threading
import zipfile

import pytest
from conftest import COMMAND_SECONDS, ROOT, ZEBRA, zebra

LINES = '{"text": "one", "meta": {"body": "first"}}\n{"text": "two", "meta": {"body": "second"}}\n'


def zipped():
    with io.BytesIO() as content:
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("a.txt", "text")
        return content.getvalue()


def tarred():
    with io.BytesIO() as content:
        with tarfile.open(fileobj=content, mode="w") as archive:
            archive.add(__file__, "a.txt")
        return content.getvalue()


REFUSED = {
    "parquet": (b"PAR1\x15\x04\x15" + bytes(100) + b"PAR1", "Parquet", "scripts/hf_to_jsonl.py"),
    "arrow": (b"\xff\xff\xff\xff\xc8\0\0\0" + bytes(200), "Arrow", "scripts/hf_to_jsonl.py"),
    "xz": (lzma.compress(b"text"), "xz", "xz --decompress"),
    "bz2": (bz2.compress(b"text"), "bzip2", "bzip2 --decompress"),
    "zip": (zipped(), "zip", "unpack"),
    "tar": (tarred(), "tar", "unpack"),
    "tar.gz": (gzip.compress(tarred()), "tar", "unpack"),
    "twice": (gzip.compress(gzip.compress(b"text")), "twice", "unpack"),
    "utf16": ("text".encode("utf-16"), "UTF-16", "iconv"),
    "utf16-without-mark": ("text".encode("utf-16-le"), "byte 1 is 0", "iconv"),
    "zeros": (gzip.compress(bytes(10 << 20)), "byte 0 is 0", "--format text"),
    "cut.gz": (gzip.compress(os.urandom(1000))[:500], "ends too early", "get it again"),
    "damaged.gz": (gzip.compress(b"text" * 100)[:-8] + bytes(8), "damaged", "get the file again"),
    "cut.zst": (b"\x28\xb5\x2f\xfd\x24\x05", "ends too early", "get it again"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS", "git lfs pull"),
    "empty": (b"", "is empty", "empty"),
    "array.json": (b'[{"text": "one"}, {"text"', "array does not end", "truncated"),
    "behind.json": (b'[{"text": "one"}] {}', "something follows", "one document a line"),
    "element.json": (b'[{"text": "one"},\n {"text": 2}]', ":2: the element of the array", "--skip-bad-lines"),
    "pretty.json": (b'{\n "text": "one"\n}', "is JSON, but neither", "jq"),
    "line.jsonl": (b'{"text": "one"}\n{"text": "two"', ":2: the line is not valid JSON", "--skip-bad-lines"),
    "field.jsonl": (b'{"body": {"text": "one"}}', "\"body.text\"", "--field"),
}


def packing(tmp_path, data, *inputs):
    return ["data", "pack", "--input", *inputs, "--tokenizer", data / "tok.model", "--output", tmp_path / "packed", "--json"]


def pack_one(tmp_path, data, name, content, *options):
    path = tmp_path / "in" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    output = zebra(*packing(tmp_path, data, path), "--overwrite", *options)[0]
    return json.loads(output)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_packed_is_refused_in_one_message(name, tmp_path, data):
    content, said, way_out = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    _, error = zebra(*packing(tmp_path, data, tmp_path / name), status=2)
    assert error.count("\n") == 1 and str(tmp_path / name) in error and said in error and way_out in error
    assert os.listdir(tmp_path) == [name]  # neither a dataset nor a half of one


def test_all_inputs_that_are_missing_are_told_at_once(tmp_path, data):
    _, error = zebra(*packing(tmp_path, data, tmp_path / "a", tmp_path / "b"), status=2)
    assert error.count("there is no such file") == 2 and os.listdir(tmp_path) == []


def test_lines_arrays_marks_and_pipes_give_the_same_dataset(tmp_path, data):
    expected = pack_one(tmp_path, data, "lines.jsonl", LINES)["fingerprint"]
    array = "[" + LINES.strip().replace("\n", ",\n") + "]\n"
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0skip"
    # A frame of one block, the last, that is not compressed.
    frame = b"\x28\xb5\x2f\xfd\x20" + bytes([len(LINES)]) + (len(LINES) << 3 | 1).to_bytes(3, "little") + LINES.encode()
    same = {"lines.json": LINES, "array.json": array, "array.txt": "\ufeff" + array, "mark": "\ufeff" + LINES,
            "padded.gz": gzip.compress(LINES.encode()) + bytes(700), "packed": gzip.compress(array.encode()), "zst": skippable + frame + skippable,
            "unread.jsonl": LINES.replace('"first"', '"\\ud83d", "score": [NaN, 1e999, -Infinity]')}
    for name, content in same.items():
        assert pack_one(tmp_path, data, name, content)["fingerprint"] == expected, name
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(target=lambda: (tmp_path / "fifo").write_text(array))
    writer.start()
    assert json.loads(zebra(*packing(tmp_path, data, tmp_path / "fifo"), "--overwrite")[0])["fingerprint"] == expected
    writer.join()
    assert json.loads(zebra(*packing(tmp_path, data, "-"), "--overwrite", stdin=array)[0])["fingerprint"] == expected
    within = pack_one(tmp_path, data, "within.jsonl", LINES, "--field", "meta.body")
    assert within["fingerprint"] == pack_one(tmp_path, data, "flat.json", LINES.replace("one", "first").replace("two", "second"))[
        "fingerprint"] != expected


def test_half_surrogates_in_a_text_are_counted(tmp_path, data):
    report = pack_one(tmp_path, data, "half.jsonl", '{"text": "a \\ud83d b"}\n{"text": "whole \\ud83e\\udd93"}\n')
    replaced = pack_one(tmp_path, data, "replaced.jsonl", '{"text": "a \ufffd b"}\n{"text": "whole 🦓"}\n')
    assert report["invalid_utf8_documents"] == 1 and replaced["invalid_utf8_documents"] == 0
    assert report["fingerprint"] == replaced["fingerprint"]


def peak_memory(arguments, status):
    """Of the command, in MiB: as the child of a small process, since a child begins with the peak of its parent."""
    launch = ("import resource, subprocess, sys; result = subprocess.run(sys.argv[1:], capture_output=True); "
              "print(result.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    output = subprocess.run([sys.executable, "-c", launch, ZEBRA, *map(str, arguments)], capture_output=True, text=True, check=True,
                            timeout=COMMAND_SECONDS).stdout
    returned, kibibytes = map(int, output.split())
    assert returned == status
    return kibibytes / 1024


def test_memory_does_not_grow_with_a_line_or_the_number_of_documents(tmp_path, data):
    (tmp_path / "small.jsonl").write_text(LINES)
    floor = peak_memory([*packing(tmp_path, data, tmp_path / "small.jsonl"), "--overwrite"], 0)
    with gzip.open(tmp_path / "long.jsonl.gz", "wb", compresslevel=1) as file:
        file.write(b'{"text": "')
        for _ in range(256):
            file.write(b"0" * (1 << 20))
        file.write(b'"}\n' + LINES.encode())
    long = packing(tmp_path, data, tmp_path / "long.jsonl.gz")
    assert peak_memory([*long, "--overwrite"], 2) < floor + 128  # what is read of a line before it is too long: 64 MiB
    assert peak_memory([*long, "--overwrite", "--skip-bad-lines"], 0) < floor + 128
    (tmp_path / "tiny.jsonl").write_text('{"text": "x"}\n' * 100_000)
    assert peak_memory([*packing(tmp_path, data, tmp_path / "tiny.jsonl"), "--overwrite"], 0) < floor + 32


def to_jsonl(*arguments, status=0):
    result = subprocess.run([sys.executable, ROOT / "scripts/hf_to_jsonl.py", *map(str, arguments)], capture_output=True, text=True,
                            timeout=COMMAND_SECONDS)
    assert result.returncode == status, result.stderr
    return result.stdout if status == 0 else result.stderr


def save_as_datasets_does(folder, table, shards):
    """The files of Dataset.save_to_disk."""
    pyarrow = pytest.importorskip("pyarrow")
    folder.mkdir(parents=True)
    names = [f"data-{shard:05}-of-{shards:05}.arrow" for shard in range(shards)]
    for shard, name in enumerate(names):
        begin, end = (table.num_rows * number // shards for number in (shard, shard + 1))
        with pyarrow.ipc.new_stream(folder / name, table.schema) as writer:
            writer.write_table(table.slice(begin, end - begin))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names], "_split": "train"}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {"text": {"dtype": "string", "_type": "Value"}}}))


@pytest.fixture
def saved(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"text": [f"document {number} é" for number in range(1000)], "score": [float("nan")] * 1000})
    for split, rows in (("train", table), ("test", table.slice(0, 7))):
        save_as_datasets_does(tmp_path / "saved" / split, rows, 3)
    (tmp_path / "saved/dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    return tmp_path / "saved", table


def test_a_folder_of_datasets_is_refused_with_the_command_that_reads_it(saved, tmp_path, data):
    folder, table = saved
    (tmp_path / "text.txt").write_text("text")
    for given in (folder, folder / "train", tmp_path):
        _, error = zebra(*packing(tmp_path / "never", data, given), status=2)
        assert error.count("\n") == 1 and f"{folder}: is what the package datasets saved" in error and "hf_to_jsonl.py" in error
    assert not (tmp_path / "never").exists()
    lines = to_jsonl(folder, "--split", "train")
    assert [json.loads(line)["text"] for line in lines.splitlines()] == table.column("text").to_pylist()
    piped = json.loads(zebra(*packing(tmp_path, data, "-"), stdin=lines)[0])
    assert piped["documents"] == 1000
    from pyarrow import parquet
    parquet.write_table(table, tmp_path / "table.bin")
    assert to_jsonl(tmp_path / "table.bin") == lines
    assert to_jsonl(tmp_path / "table.bin", "--columns", "text").splitlines()[1] == '{"text": "document 1 é"}'


def test_what_cannot_become_jsonl_is_said(saved, tmp_path):
    folder, _ = saved
    assert "choose one with --split: train, test" in to_jsonl(folder, status=2)
    assert "no split 'dev'" in to_jsonl(folder, "--split", "dev", status=2)
    assert "is one split" in to_jsonl(folder / "train", "--split", "train", status=2)
    assert "no column body; it has text, score" in to_jsonl(folder / "train", "--columns", "body", status=2)
    (tmp_path / "a.txt").write_text("text")
    assert "neither Parquet nor Arrow" in to_jsonl(tmp_path / "a.txt", status=2)
    assert "no such file" in to_jsonl(tmp_path / "none", status=2)
    shard = folder / "train/data-00001-of-00003.arrow"
    shard.write_bytes(shard.read_bytes()[:-3000])
    assert f"{shard}: cannot be read to its end" in to_jsonl(folder / "train", status=2)
    hub = tmp_path / "hub"
    hub.mkdir()
    for split in ("train", "test"):
        (hub / f"{split}-00000-of-00001.arrow").write_bytes((folder / "test/data-00000-of-00003.arrow").read_bytes())
    assert "files of several splits" in to_jsonl(hub, status=2)
    assert len(to_jsonl(hub, "--split", "train").splitlines()) == 2
