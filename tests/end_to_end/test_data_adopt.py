"""Token files of other programs: adopted they train to the losses, to the bit, of the same tokens in our own format. Files are
written by the real packages (litdata is installed for the long tests only), llm.c's after its description."""

import json
import os
import pty
import resource
import shutil
import subprocess

import numpy as np
import pytest
from conftest import COMMAND_SECONDS, ZEBRA, metrics, zebra


@pytest.fixture(scope="session")
def documents(data):
    """The documents of the training data, as lists of ids."""
    description = json.loads((data / "train/dataset.json").read_text())
    tokens = np.fromfile(data / "train/tokens.bin", dtype=f"<u{description['token_bytes']}")
    begins = np.fromfile(data / "train/documents.bin", dtype="<u8").astype(int)
    return [tokens[begin:end] for begin, end in zip(begins, begins[1:])]


@pytest.fixture(scope="session")
def losses(shared, data, documents):
    """losses(name, path): those of ten steps on the datasets at that path, run once for each name."""
    def of(name, path):
        def make(folder):
            (folder / "run.yaml").write_text(f"""\
run: {{dir: {folder}/run, seed: 3, device: cpu}}
model: {{hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 2,
        self_attn_type: mix, layer_group_size: 2, window_size: 16}}
data: {{tokenizer: {data}/tok.model, train: [{{path: {path}}}], validation: [{{path: {data}/valid}}], sequence_length: 64}}
optimizer: {{lr: 1.0e-3}}
train: {{max_steps: 10, global_batch_size: 8, micro_batch_size: 4, precision: fp32}}
eval: {{every_steps: 10, max_tokens: 1024}}
logging: {{every_steps: 1}}
""")
            zebra("train", folder / "run.yaml")

        return metrics(shared(f"losses-{name}", make) / "run")

    return of


def write_llm_c(folder, documents):
    """One file: 256 int32 of header, then uint16. EOT stands at the start of a document there, here BOS."""
    header = np.zeros(256, dtype="<i4")
    header[:3] = 20240520, 1, sum(map(len, documents))
    (folder / "train_000001.bin").write_bytes(header.tobytes() + np.concatenate(documents).astype("<u2").tobytes())
    return folder, ["--document-separator", 1, "--at", "start"]


def write_olmo(folder, documents):
    np.concatenate(documents).astype("<u2").tofile(folder / "part-0-00000.npy")
    return folder, []


def write_numpy(folder, documents):
    np.save(folder / "tokens.npy", np.concatenate(documents).astype("<u4"))
    return folder, []


def write_megatron(folder, documents):
    pytest.importorskip("torch")
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset", reason="megatron-core is not installed")
    builder = indexed.IndexedDatasetBuilder(str(folder / "text_document.bin"), dtype=np.uint16)
    import torch
    for ids in documents:
        builder.add_document(torch.from_numpy(ids.astype(np.int64)), [len(ids)])
    builder.finalize(str(folder / "text_document.idx"))
    return folder / "text_document", []


def write_datatrove(folder, documents):
    tokenizer = pytest.importorskip("datatrove.pipeline.tokens.tokenizer", reason="datatrove is not installed")
    file = tokenizer.TokenizedFile(str(folder), "00000_tokens.ds", save_final_metadata=True, tokenizer_name_or_path="tok.model")
    for ids in documents:
        file.write(ids.tolist(), None)
    file.close()
    return folder, []


def tokens_of_item(path):
    """What litdata's workers call, so it must have a name of its own."""
    import torch
    yield torch.from_numpy(np.load(path).astype(np.int64))


def write_litdata(folder, documents):
    litdata = pytest.importorskip("litdata", reason="litdata is not installed: bash scripts/setup.sh --long")
    parts = folder / "parts"
    parts.mkdir()
    for number, ids in enumerate(documents):
        np.save(parts / f"{number:05d}.npy", ids)
    litdata.optimize(fn=tokens_of_item, inputs=[str(path) for path in sorted(parts.iterdir())], output_dir=str(folder / "chunks"),
                     num_workers=1, reorder_files=False, chunk_size=64 * 129, item_loader=litdata.TokensLoader())
    return folder / "chunks", []


WRITERS = [write_llm_c, write_olmo, write_numpy, write_megatron, write_datatrove, write_litdata]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__.removeprefix("write_"))
def test_adopted_files_train_to_the_same_losses(tmp_path, data, documents, losses, write):
    source, options = write(tmp_path, documents)
    output, _ = zebra("data", "adopt", source, "--tokenizer", data / "tok.model", "--output", tmp_path / "adopted", "--json",
                      *options)
    report = json.loads(output)
    assert report["documents"] == len(documents) and report["tokens"] == sum(map(len, documents))
    assert {path.name for path in (tmp_path / "adopted").iterdir()} == {"dataset.json", "documents.bin"}
    own = losses("own", data / "train")
    assert own and losses(write.__name__, tmp_path / "adopted") == own
    if not options:  # what is commonly meant needs no options, and so no dataset
        assert losses(f"{write.__name__}-direct", source) == own


def test_a_loss_mask_of_datatrove_is_taken(tmp_path, data, documents):
    tokenizer = pytest.importorskip("datatrove.pipeline.tokens.tokenizer", reason="datatrove is not installed")
    file = tokenizer.TokenizedFile(str(tmp_path), "a.ds", save_loss_metadata=True)
    counts = [np.arange(len(ids)) % 3 > 0 for ids in documents]
    for ids, own in zip(documents, counts):
        file.write(ids.tolist(), own)
    file.close()
    zebra("data", "adopt", tmp_path / "a.ds", "--tokenizer", data / "tok.model", "--output", tmp_path / "out")
    assert (tmp_path / "out/loss_mask.bin").read_bytes() == np.concatenate(counts).tobytes()


def test_merged_parts_train_to_the_same_losses(tmp_path, data, losses):
    zebra("data", "split", data / "train", "--output", tmp_path / "a", "--holdout", 0.3, "--holdout-output", tmp_path / "b")
    zebra("data", "merge", tmp_path / "a", tmp_path / "b", "--output", tmp_path / "whole")
    assert losses("merged", tmp_path / "whole") == losses("own", data / "train")


def test_bad_files_are_refused_by_name_and_leave_nothing(tmp_path, data, run_file):
    good = np.array([1, 300, 2] * 200, dtype="<u2")
    header = np.zeros(256, dtype="<i4")
    header[:3] = 20240520, 1, len(good)
    (tmp_path / "truncated.bin").write_bytes((header.tobytes() + good.tobytes())[:-1])
    (tmp_path / "endian.bin").write_bytes(header.byteswap().tobytes() + good.byteswap().tobytes())
    (tmp_path / "beyond.npy").write_bytes(np.array([1, 300, 512, 2], dtype="<u2").tobytes())
    (tmp_path / "swapped.ds").write_bytes(good.tobytes())
    (tmp_path / "swapped.ds.index").write_bytes(np.array([3, 700], dtype="<u8").tobytes())
    names = ["truncated.bin", "endian.bin", "swapped.ds"]
    _, error = zebra("data", "adopt", *(tmp_path / name for name in names), "--tokenizer", data / "tok.model", "--output",
                     tmp_path / "out", status=2)
    assert all(name in error for name in names)
    assert "is truncated" in error and "big-endian" in error and "beyond the 600" in error
    _, error = zebra("data", "adopt", tmp_path / "beyond.npy", "--tokenizer", data / "tok.model", "--output", tmp_path / "out",
                     status=2)
    assert "beyond.npy: token 2 has the id 512" in error
    assert not list(tmp_path.glob("out*"))
    _, error = zebra("train", run_file, "--set", f"data.train=[{{path: {tmp_path}/beyond.npy}}]", status=2)
    assert "beyond.npy: token 2 has the id 512" in error


def test_another_tokenizer_is_refused(tmp_path, data, run_file):
    zebra("data", "tokenizer", "--input", data / "corpus/train", "--vocab-size", 400, "--output", tmp_path / "other.model")
    np.array([1, 300, 2] * 200, dtype="<u2").tofile(tmp_path / "a.npy")
    zebra("data", "adopt", tmp_path / "a.npy", "--tokenizer", tmp_path / "other.model", "--output", tmp_path / "a")
    _, error = zebra("train", run_file, "--set", f"data.train=[{{path: {tmp_path}/a}}]", "--dry-run", status=2)
    assert "another tokenizer" in error


def test_show_says_what_a_run_trains_on(tmp_path, data, run_file):
    output, _ = zebra("data", "show", data / "train", "--sample", 2, "--as-trained", run_file, "--json")
    view = json.loads(output)
    assert view["begin"] == 256 and view["end"] == 385
    ids = [id for run in view["runs"] for id in run["ids"]]
    assert ids == np.fromfile(data / "train/tokens.bin", dtype="<u2")[256:385].tolist()
    assert view["targets"] == 128 - sum(run["begins_document"] for run in view["runs"] if run["begin"] > 256)
    plain, _ = zebra("data", "show", data / "train", "--tokenizer", data / "tok.model", "--max-tokens", 40)
    assert "-- document 0 of" in plain and "<BOS>" in plain and "\x1b" not in plain
    output, _ = zebra("data", "stat", "--as-trained", run_file, "--json")
    [source] = json.loads(output)
    samples = (source["tokens"] - 1) // 128
    assert source["passes"] == pytest.approx(50 * 8 / samples)


def test_show_is_coloured_on_a_terminal(data):
    process, terminal = pty.fork()
    if process == 0:
        os.environ.pop("NO_COLOR", None)
        os.execv(ZEBRA, [str(ZEBRA), "data", "show", str(data / "train"), "--max-tokens", "30"])
    shown = b""
    try:
        while part := os.read(terminal, 4096):
            shown += part
    except OSError:  # the other end is closed
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert b"\x1b[1m-- document 0" in shown and b"\x1b[32m" in shown


def test_more_files_than_a_process_may_open_by_default(tmp_path, data):
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(1100):
        np.array([1, 300, 2], dtype="<u2").tofile(folder / f"{number:04d}.npy")
    zebra("data", "adopt", folder, "--tokenizer", data / "tok.model", "--output", tmp_path / "out")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if 0 <= hard <= 2200:
        pytest.skip(f"no process may open more than {hard} files here")
    command = f"ulimit -S -n 1024; exec '{ZEBRA}' data stat '{tmp_path}/out' --json"
    output = subprocess.run(["bash", "-c", command], capture_output=True, check=True, timeout=COMMAND_SECONDS).stdout
    assert json.loads(output)[0]["files"] == 1100


def test_a_file_that_moved_is_followed_by_hand(tmp_path, data):
    np.array([1, 300, 2] * 20, dtype="<u2").tofile(tmp_path / "a.npy")
    zebra("data", "adopt", tmp_path / "a.npy", "--tokenizer", data / "tok.model", "--output", tmp_path / "a")
    shutil.move(tmp_path / "a.npy", tmp_path / "b.npy")
    _, error = zebra("data", "show", tmp_path / "a", status=2)
    assert "a.npy" in error
    description = tmp_path / "a/dataset.json"
    description.write_text(description.read_text().replace("a.npy", "b.npy"))
    zebra("data", "show", tmp_path / "a")
