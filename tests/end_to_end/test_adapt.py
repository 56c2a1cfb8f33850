"""`model.init_from`: a run that starts from another's weights, and the long-context adaptation that it is for."""

import json
import math
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from conftest import COMMAND_SECONDS, ROOT, ZEBRA, metrics, status_of, zebra
from ranks import BareRanks, settings
from safetensors.numpy import load_file

LENGTH = 128  # of the origin's sequences
CHANGES_NOTHING = "optimizer.lr=1e-30"

ADAPTATION = """\
run: {{dir: {dir}, seed: 2, device: cpu}}
model: {{init_from: {origin}, self_attn_type: full, rope_scaling: {{type: yarn, factor: 2}}}}
data: {{tokenizer: {data}/tok.model, train: [{{path: {data}/train}}], validation: [{{path: {data}/valid}}], sequence_length: 256}}
optimizer: {{lr: 1.0e-3}}
schedule: {{warmup_steps: 2}}
train: {{max_steps: 8, global_batch_size: 4, micro_batch_size: 2}}
checkpoint: {{every_steps: 3, keep_last: 9}}
eval: {{every_steps: 4, max_tokens: 2048}}
logging: {{every_steps: 1}}
"""


@pytest.fixture
def adaptation(tmp_path, data, trained):
    """A run file that adapts the finished tiny run to twice its length, with all layers global."""
    path = tmp_path / "adapt.yaml"
    path.write_text(ADAPTATION.format(dir=tmp_path / "run", origin=trained, data=data))
    return path


@pytest.fixture(scope="module")
def adapted(shared, data, trained):
    """The run of `adaptation`, finished."""
    def make(folder):
        (folder / "adapt.yaml").write_text(ADAPTATION.format(dir=folder / "run", origin=trained, data=data))
        zebra("train", folder / "adapt.yaml")

    return shared("adapted", make) / "run"


def losses(run):
    return [row["loss"] for row in metrics(run) if "loss" in row]


def tensors(run, step, group):
    """NAME@BEGIN:END -> bytes, of all parts of a checkpoint."""
    parts = sorted((run / f"checkpoints/step-{step:08}").glob(f"{group}-*.safetensors"))
    assert parts
    return {name: values.tobytes() for part in parts for name, values in load_file(part).items()}


def pack_text(data, size, output):
    """Two documents of so many characters each as a token dataset."""
    text = next((data / "corpus/valid").rglob("*.py")).read_text()
    parts = (text[:size], text[size:2 * size])
    zebra("data", "pack", "--input", "-", "--tokenizer", data / "tok.model", "--output", output,
          stdin="".join(json.dumps({"text": part}) + "\n" for part in parts))


def test_training_starts_from_the_origins_bits_with_a_fresh_optimizer(adaptation, trained, tmp_path):
    zebra("train", adaptation, "--set", CHANGES_NOTHING, "--stop-after", 1)
    assert tensors(tmp_path / "run", 1, "weights") == tensors(trained, 50, "weights")
    moments = load_file(next((tmp_path / "run/checkpoints/step-00000001").glob("exp_avg_sq-*.safetensors")))
    stale = load_file(next((trained / "checkpoints/step-00000050").glob("exp_avg_sq-*.safetensors")))
    # After one step the second moment is (1 - beta2) g^2: the squared norm of the gradient is in the log.
    total = sum(float(values.astype("float64").sum()) for values in moments.values())
    norm = metrics(tmp_path / "run")[0]["grad_norm"]
    assert total == pytest.approx((1 - 0.95) * norm**2, rel=1e-3)
    assert total != pytest.approx(sum(float(values.astype("float64").sum()) for values in stale.values()), rel=1e-3)


def test_a_named_step_is_the_one_that_counts(adaptation, trained, tmp_path):
    zebra("train", adaptation, "--set", CHANGES_NOTHING, "--set", f"model.init_from={trained}@40", "--stop-after", 1)
    weights = tensors(tmp_path / "run", 1, "weights")
    assert weights == tensors(trained, 40, "weights")
    assert weights != tensors(trained, 50, "weights")


def test_the_first_loss_is_the_origins(adaptation, data, trained, tmp_path):
    """In the layout and at the length of the origin, on a dataset of one sample, against `zebra eval` of the origin."""
    pack_text(data, 150, tmp_path / "one")
    assert LENGTH < json.loads((tmp_path / "one/dataset.json").read_text())["tokens"] <= 2 * LENGTH
    zebra("eval", trained, "--data", tmp_path / "one", "--max-tokens", LENGTH, "--json", tmp_path / "eval.json")
    expected = json.loads((tmp_path / "eval.json").read_text())["loss"]
    values = ["model.self_attn_type=", "model.rope_scaling={type: none, factor: 1}", f"data.sequence_length={LENGTH}",
              f"data.train=[{{path: {tmp_path / 'one'}}}]", "train.global_batch_size=2"]
    zebra("train", adaptation, *settings(values), "--stop-after", 1)
    assert losses(tmp_path / "run")[0] == pytest.approx(expected, rel=1e-5)


def test_layout_length_and_positions_are_the_new_ones(adapted):
    model = (adapted / "config.yaml").read_text()
    for line in ("attention_pattern: GGGG", "window_size: 16", "max_position_embeddings: 256", "type: yarn", "factor: 2.0",
                 "original_max_position_embeddings: 128", "num_key_value_heads: 2"):
        assert re.search(rf"^ +{line}$", model, re.MULTILINE), line
    status = status_of(adapted)
    assert status["state"] == "finished" and status["step"] == 8
    values = losses(adapted)
    assert values[0] < math.log(512) - 1 and sum(values[4:]) < sum(values[:4])
    validations = [row for row in metrics(adapted) if "validation_loss" in row]
    assert validations[0]["by_position"][-1]["begin"] == LENGTH
    zebra("eval", adapted, "--lengths", "128,256,512", "--max-tokens", 1024)
    zebra("generate", adapted, "--prompt", "def", "--max-new-tokens", 4)


def test_a_stopped_run_goes_on_without_its_origin(adaptation, adapted, trained, tmp_path):
    origin = tmp_path / "origin"
    shutil.copytree(trained, origin)
    given = ["--set", f"model.init_from={origin}"]
    zebra("train", adaptation, *given, "--stop-after", 5)
    shutil.rmtree(origin)
    _, error = zebra("train", adaptation, *given, status=2)
    assert f'model.init_from: "{origin}" does not exist' in error
    zebra("train", tmp_path / "run/config.yaml")
    assert metrics(tmp_path / "run") == metrics(adapted)


def test_an_adapted_run_is_an_origin_too(adapted, adaptation, tmp_path):
    zebra("train", adaptation, "--set", f"model.init_from={adapted}", "--set", CHANGES_NOTHING, "--stop-after", 1)
    text = (tmp_path / "run/config.yaml").read_text()
    assert "original_max_position_embeddings: 128" in text
    assert tensors(tmp_path / "run", 1, "weights") == tensors(adapted, 8, "weights")


@pytest.mark.parametrize("sharding, precision, tolerance", [("full", "fp32", 3e-6), ("optimizer", "bf16", 3e-3)])
def test_ranks_that_share_the_state_start_from_the_same_weights(adaptation, adapted, tmp_path, sharding, precision, tolerance):
    values = [f"parallel.sharding={sharding}", f"train.precision={precision}", "train.max_steps=2"]
    with BareRanks(tmp_path, 2, adaptation, *values) as ranks:
        assert ranks.wait() == [0, 0], ranks.output()
    assert losses(tmp_path / "run") == pytest.approx(losses(adapted)[:2], rel=tolerance)


@pytest.mark.parametrize("change, named", [
    ("model.intermediate_size=200", "model.layers.0.mlp"),
    ("model.vocab_size=600", "model.embed_tokens.weight"),
    ("model.num_hidden_layers=5", "model.layers.4."),
], ids=["width", "vocabulary", "layers"])
def test_a_shape_that_does_not_fit_names_the_tensor_and_writes_nothing(adaptation, trained, tmp_path, change, named):
    _, error = zebra("train", adaptation, "--set", change, status=2)
    assert str(trained) in error and named in error
    assert not (tmp_path / "run/checkpoints").exists() and not (tmp_path / "run/metrics.jsonl").exists()


def test_what_is_no_origin_is_refused_before_anything_is_written(adaptation, trained, tmp_path):
    for origin, message in {tmp_path / "gone": "does not exist", f"{trained}@7": "no whole checkpoint of that step", ROOT / "configs": "no config.yaml"}.items():
        _, error = zebra("train", adaptation, "--set", f"model.init_from={origin}", status=2)
        assert message in error and str(origin).split("@")[0] in error
    assert not (tmp_path / "run/config.yaml").exists()


def test_dry_run_names_the_origin(adaptation, trained, tmp_path):
    output, _ = zebra("train", adaptation, "--dry-run")
    assert f"start from the weights of {trained}/checkpoints/step-00000050 in {tmp_path / 'run'}" in output
    assert "attention_pattern: GGGG" in output
    assert not (tmp_path / "run").exists()


LLAMA = """\
model: {hidden_size: 4096, intermediate_size: 11008, num_hidden_layers: 32, num_attention_heads: 32, vocab_size: 32000,
        max_position_embeddings: 4096, rope_scaling: {type: none}, attention_pattern: G}
"""


@pytest.mark.parametrize("length", [16384, 32768])
def test_shipped_llama_adaptations_are_the_papers_layout(tmp_path, monkeypatch, length):
    (tmp_path / "config.yaml").write_text(LLAMA)
    monkeypatch.setenv("LLAMA", str(tmp_path))
    monkeypatch.setenv("ZEBRA_DATA", str(tmp_path))
    output, _ = zebra("plan", ROOT / f"configs/adapt/llama-2-7b-{length // 1024}k.yaml", "--ranks", 8, "--gpu", "h100", "--json")
    plan = json.loads(output)
    assert plan["layers"] == ["global", "local", "local", "local"] * 8
    assert plan["tokens_per_step"] == 1 << 20 and plan["steps"] == 1000
    needed = plan["state_bytes_per_rank"]["total"] + plan["activation_bytes_per_rank"]["total"]
    assert needed < plan["hardware"]["memory_bytes"]
    resolved, _ = zebra("config", ROOT / f"configs/adapt/llama-2-7b-{length // 1024}k.yaml")
    for line in ("original_max_position_embeddings: 4096", f"max_position_embeddings: {length}", f"factor: {length // 4096}.0"):
        assert re.search(rf"^ +{line}$", resolved, re.MULTILINE), line


@pytest.fixture
def checkout(tmp_path, data):
    """A folder in which the shipped script seems to stand in a checkout whose data is made already."""
    for name in ("scripts", "configs", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    folder = tmp_path / "runs/adapt"
    (folder / "data").mkdir(parents=True)
    (folder / "corpus").mkdir()
    (folder / "tokenizer.model").symlink_to(data / "tok.model")
    (folder / "data/train").symlink_to(data / "train")
    pack_text(data, 1500, folder / "data/valid")
    return tmp_path


def test_the_tiny_adaptation_comes_to_its_table_and_goes_on_where_it_stopped(checkout):
    values = ["model.num_hidden_layers=3", "train.max_steps=2", "train.global_batch_size=2", "train.micro_batch_size=2",
              "schedule.warmup_steps=1", "logging.every_steps=1", "eval.every_steps=0"]
    command = ["bash", "scripts/adapt_tiny.sh", *settings(values)]
    environment = os.environ | {"ZEBRA": str(ZEBRA)}

    def run():
        return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS)

    first = run()
    assert first.returncode == 0, first.stdout + first.stderr
    table = (checkout / "runs/adapt/table.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    by_name = {row[0]: row[1:] for row in rows}
    assert rows[0][1:4] == ["128", "256", "512"]
    assert len(rows) == 2 + 9 + 2 + 3
    origin, scaled = (by_name[f"before: {name}"] for name in ("the origin itself, global layers", "global layers, scaled positions"))
    assert origin != scaled, "scaled positions change the model"
    assert by_name["global layers"][1] == "1.000" and float(by_name["Zebra layers"][1]) < 1
    assert pathlib.Path(checkout / "runs/adapt/zebra/config.yaml").read_text().count("attention_pattern: GLL") == 1

    (checkout / "runs/adapt/evaluation/zebra.json").unlink()
    before = {path: path.read_bytes() for path in checkout.glob("runs/adapt/*/metrics.jsonl")}
    assert len(before) == 9
    second = run()
    assert second.returncode == 0, second.stdout + second.stderr
    assert (checkout / "runs/adapt/table.md").read_text() == table
    assert {path: path.read_bytes() for path in before} == before
