"""Fixtures of the end-to-end tests: the built command, and a small corpus, tokenizer and datasets. The tests may be run by
several processes (pytest -n): what several tests read is made once, by `shared`."""

import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("ZEBRA_BUILD", ROOT / "build"))
ZEBRA = BUILD / "zebra"
COMMAND_SECONDS = 900  # a hang must end; nothing here takes a tenth of it on an idle machine
LONG = bool(os.environ.get("ZEBRA_LONG_TESTS"))
# The models are tiny: one thread is nearly as fast as several, and several that wait for a busy core are far slower. Here,
# before anything of the tests loads torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

RUN_FILE = """\
run: {{name: tiny, dir: {dir}, seed: 1, device: cpu}}
model: {{hidden_size: 64, intermediate_size: 176, num_hidden_layers: 4, num_attention_heads: 4, num_key_value_heads: 2,
        self_attn_type: mix, layer_group_size: 2, window_size: 16}}
data: {{tokenizer: {data}/tok.model, train: [{{path: {data}/train}}], validation: [{{path: {data}/valid}}], sequence_length: 128}}
optimizer: {{lr: 1.0e-3, weight_decay: 0.1, betas: [0.9, 0.95], eps: 1.0e-8}}
schedule: {{type: cosine, warmup_steps: 10, min_lr_ratio: 0.1}}
train: {{max_steps: 50, global_batch_size: 8, micro_batch_size: 4, precision: fp32, grad_clip: 1.0}}
parallel: {{sharding: none}}
checkpoint: {{every_steps: 10, keep_last: 3}}
eval: {{every_steps: 25, max_tokens: 2048}}
logging: {{every_steps: 1}}
"""


def zebra(*arguments, status=0, cwd=None, stdin=None):
    """Runs the command; returns (standard output, standard error) after checking its exit status."""
    result = subprocess.run([ZEBRA, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, input=stdin,
                            timeout=COMMAND_SECONDS)
    assert result.returncode == status, f"status {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result.stdout, result.stderr


def metrics(run):
    """The rows of metrics.jsonl without what depends on the clock."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    timed = {"tokens_per_second", "seconds", "memory_gib", "checkpoint_seconds_lost", "checkpoint_seconds", "data_share"}
    return [{key: value for key, value in row.items() if key not in timed} for row in rows]


def status_of(run):
    return json.loads((run / "status.json").read_text())


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """shared(name, make) gives a folder that `make(folder)` filled: once for all tests and their processes. Nobody changes what
    is in it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # above the folders of each process
    folder /= "shared"
    folder.mkdir(exist_ok=True)

    def get(name, make):
        made, marker = folder / name, folder / f"{name}.made"
        with open(folder / f"{name}.lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the others wait
            if not marker.exists():
                shutil.rmtree(made, ignore_errors=True)
                made.mkdir()
                make(made)
                marker.touch()
        return made

    return get


def make_data(folder):
    subprocess.run([sys.executable, ROOT / "scripts/python_corpus.py", folder / "corpus", "--max-files", "60"], check=True)
    zebra("data", "tokenizer", "--input", folder / "corpus/train", "--vocab-size", 512, "--output", folder / "tok.model")
    for part in ("train", "valid"):
        zebra("data", "pack", "--input", folder / "corpus" / part, "--tokenizer", folder / "tok.model",
              "--output", folder / part)


@pytest.fixture(scope="session")
def data(shared):
    return shared("data", make_data)


@pytest.fixture(scope="session")
def faulty_disk():
    """Preloaded into a command, it makes the disk fail: see tests/support/faulty_disk.c."""
    library = BUILD / "tests/faulty_disk.so"
    if not library.exists():
        subprocess.run(["cmake", "--build", BUILD, "--target", "faulty_disk"], check=True, capture_output=True)
    return library


@pytest.fixture
def run_file(tmp_path, data):
    path = tmp_path / "run.yaml"
    path.write_text(RUN_FILE.format(dir=tmp_path / "run", data=data))
    return path


@pytest.fixture(scope="session")
def trained(shared, data):
    """A finished run of the contract's small run file."""
    def make(folder):
        (folder / "run.yaml").write_text(RUN_FILE.format(dir=folder / "run", data=data))
        zebra("train", folder / "run.yaml")

    return shared("trained", make) / "run"
