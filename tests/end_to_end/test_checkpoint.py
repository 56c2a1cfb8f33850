"""`zebra checkpoint`: what is there, whether it is whole, what it holds, what goes, and new runs from a step."""

import fcntl
import hashlib
import json
import shutil

import numpy
import pytest
from conftest import metrics, status_of, zebra
from safetensors.numpy import load_file

STEPS = (30, 40, 50)


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the finished run, to be damaged."""
    return shutil.copytree(trained, tmp_path / "run")


def place(run, step):
    return run / "checkpoints" / f"step-{step:08d}"


def steps_of(run):
    return sorted(int(path.name.removeprefix("step-")) for path in (run / "checkpoints").glob("step-????????"))


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def hashes(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def files_of(checkpoint):
    return json.loads((checkpoint / "manifest.json").read_text())["files"]


def listed(run):
    return json.loads(zebra("checkpoint", "list", run, "--json")[0])["checkpoints"]


def test_list(trained):
    output, _ = zebra("checkpoint", "list", trained)
    lines = output.splitlines()
    assert lines[0].split() == ["step", "state", "size", "validation", "loss", "tokens", "written"]
    assert [line.split()[:2] for line in lines[1:]] == [[str(step), "whole"] for step in STEPS]
    assert "newest, best" in lines[3] and "51,200" in lines[3] and "newest" not in lines[1] + lines[2]
    rows = listed(trained / "checkpoints")
    loss = [row["validation_loss"] for row in metrics(trained) if "validation_loss" in row][-1]
    assert [row["validation_loss"] for row in rows] == [None, None, loss]
    assert [row["tokens"] for row in rows] == [step * 8 * 128 for step in STEPS]
    assert all(row["bytes"] == sum(path.stat().st_size for path in place(trained, row["step"]).iterdir()) for row in rows)
    assert all(row["kept_by"] == ["keep_last"] for row in rows)


def test_list_tells_apart_what_is_no_whole_checkpoint(run):
    folder = run / "checkpoints"
    (place(run, 30) / "exp_avg-00000.safetensors").unlink()
    (place(run, 40) / "manifest.json").unlink()
    (folder / "step-00000060.partial-77").mkdir()
    place(run, 50).rename(folder / "step-00000050.corrupt-2")
    (folder / "mine").mkdir()
    assert [(row["step"], row["state"]) for row in listed(run)] == [
        (None, "no checkpoint"), (30, "damaged"), (40, "no manifest"), (50, "set aside as corrupt"), (60, "unfinished save")]
    output, _ = zebra("checkpoint", "list", run)
    assert "exp_avg-00000.safetensors: missing" in output and "step-00000060.partial-77" in output


def test_verify_a_whole_run(trained):
    output, error = zebra("checkpoint", "verify", trained)
    assert [line.split()[:2] for line in output.splitlines()] == [["OK", str(place(trained, step))] for step in STEPS]
    assert error == ""


@pytest.mark.parametrize("name", ["exp_avg_sq-00000.safetensors", "config.yaml", "manifest.json"])
def test_verify_names_what_is_broken(run, name):
    flip_a_bit(place(run, 40) / name)
    output, error = zebra("checkpoint", "verify", run, status=1)
    verdicts = [line.split()[0] for line in output.splitlines()]
    assert verdicts.count("OK") == 2 and verdicts.count("BROKEN") == 1
    assert f"{place(run, 40) / name}: " in output and "broken: 1 of 3" in error
    zebra("checkpoint", "verify", f"{run}@30", place(run, 50))
    report = json.loads(zebra("checkpoint", "verify", place(run, 40), "--json", status=1)[0])
    assert [row["outcome"] for row in report] == ["BROKEN"] and name in report[0]["reasons"][0]


def test_verify_what_has_no_manifest(run, tmp_path):
    (place(run, 40) / "manifest.json").unlink()
    for path in (run, run / "checkpoints", place(run, 40)):
        output, _ = zebra("checkpoint", "verify", path, status=1)
        assert f"{place(run, 40)}/manifest.json: missing" in output
    _, error = zebra("checkpoint", "verify", tmp_path / "nowhere", f"{run}@35", status=2)
    assert "nowhere: no such run or checkpoint" in error and "@35: no whole checkpoint" in error
    (tmp_path / "empty").mkdir()
    _, error = zebra("checkpoint", "verify", tmp_path / "empty", status=2)
    assert "holds no whole checkpoint" in error


def test_verify_what_cannot_be_read(run):
    (place(run, 40) / "config.yaml").unlink()
    (place(run, 40) / "config.yaml").symlink_to("config.yaml")
    output, error = zebra("checkpoint", "verify", run, status=2)
    assert "UNKNOWN" in output and "config.yaml" in error


def test_show(trained):
    output, _ = zebra("checkpoint", "show", f"{trained}@best", "--tensors")
    for expected in ("51,200", "GLGL: 2 global, 2 local", "16 previous + itself = 17 keys", "fp32", "exp_avg_sq in 1 part",
                     "weights-00000.safetensors", "model.layers.3.mlp.down_proj.weight", "[64, 176]"):
        assert expected in output
    assert "down_proj" not in zebra("checkpoint", "show", trained)[0]
    shown = json.loads(zebra("checkpoint", "show", place(trained, 40), "--json", "--tensors")[0])
    manifest = json.loads((place(trained, 40) / "manifest.json").read_text())
    assert shown["step"] == 40 and shown["format_version"] == manifest["format_version"]
    assert shown["tensors"] == manifest["tensors"] and shown["training"] == manifest["training"]
    elements = 0
    for tensor in manifest["tensors"].values():
        size = 1
        for length in tensor["shape"]:
            size *= length
        elements += size
    assert shown["parameters"] == elements
    assert shown["files"] == manifest["files"]
    assert shown["bytes"] == sum(record["size"] for record in manifest["files"].values())


def test_prune(run):
    leftovers = run / "checkpoints/step-00000060.partial-77"
    leftovers.mkdir()
    output, _ = zebra("checkpoint", "prune", run, "--keep-last", 1, "--dry-run")
    assert steps_of(run) == list(STEPS) and leftovers.exists() and "nothing was deleted" in output
    before = sum(path.stat().st_size for step in (30, 40) for path in place(run, step).iterdir())
    report = json.loads(zebra("checkpoint", "prune", run, "--keep-last", 1, "--json")[0])
    assert report["bytes_freed"] == before
    assert [row["folder"] for row in report["go"]] == [str(place(run, 30)), str(place(run, 40)), str(leftovers)]
    assert steps_of(run) == [50]
    zebra("checkpoint", "prune", run, "--keep-last", 1, "--keep-every", 7)
    assert steps_of(run) == [50]


def test_prune_by_the_settings_of_the_run_and_by_others(run):
    zebra("checkpoint", "prune", run)  # keep_last: 3
    assert steps_of(run) == [30, 40, 50]
    zebra("checkpoint", "prune", run, "--keep-last", 1, "--keep-every", 15)
    assert steps_of(run) == [30, 50]


def test_prune_refuses_what_could_lose_the_run(run):
    zebra("checkpoint", "prune", run, "--keep-last", 0, status=2)
    flip_a_bit(place(run, 50) / "manifest.json")
    _, error = zebra("checkpoint", "prune", run, "--keep-last", 1, status=1)
    assert "step-00000050/manifest.json" in error and "nothing was deleted" in error
    assert steps_of(run) == list(STEPS)
    with open(run / "lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _, error = zebra("checkpoint", "prune", run, "--keep-last", 1, status=2)
        assert "another process trains in this run.dir" in error
        zebra("checkpoint", "prune", run, "--keep-last", 3, "--dry-run", status=1)
    assert steps_of(run) == list(STEPS)


def test_a_fork_without_changes_goes_on_to_the_same_bits(trained, tmp_path):
    before = hashes(trained)
    output, _ = zebra("checkpoint", "fork", f"{trained}@40", "--output", tmp_path / "fork")
    command = f"zebra train {tmp_path / 'fork' / 'config.yaml'}"
    assert command in output and "sample 320: step 40 x train.global_batch_size 8" in output
    zebra("checkpoint", "verify", tmp_path / "fork")
    zebra(*command.split()[1:])
    assert metrics(tmp_path / "fork") == [row for row in metrics(trained) if row["step"] > 40]
    same = [name for name in files_of(place(trained, 50)) if name != "config.yaml"]
    assert len(same) == 4
    for name in same:
        assert files_of(place(tmp_path / "fork", 50))[name] == files_of(place(trained, 50))[name]
    assert hashes(trained) == before


def test_a_fork_with_other_settings_trains(trained, data, tmp_path):
    before = hashes(trained)
    settings = ["optimizer.lr=5.0e-4", "schedule.type=wsd", "schedule.decay_steps=10", "train.max_steps=55",
                "model.window_size=8", "model.layer_group_size=4", f"data.train=[{{path: {data}/valid}}]",
                "train.global_batch_size=4", "checkpoint.every_steps=5"]
    overrides = [word for setting in settings for word in ("--set", setting)]
    fork = tmp_path / "fork"
    output, _ = zebra("checkpoint", "fork", f"{trained}@40", "--output", fork, "--dry-run", *overrides)
    assert "nothing was written" in output and list(tmp_path.iterdir()) == []
    output, _ = zebra("checkpoint", "fork", f"{trained}@40", "--output", fork, "--name", "annealed", *overrides)
    for change in ("optimizer.lr: 0.001 -> 5.0e-04", "schedule.type: cosine -> wsd", "model.attention_pattern: GLGL -> GLLL",
                   "model.window_size: 16 -> 8", "sample 160: "):
        assert change in output
    zebra("train", fork / "config.yaml")
    rows = [row for row in metrics(fork) if "loss" in row]
    assert [row["step"] for row in rows] == list(range(41, 56)) and rows[0]["lr"] == pytest.approx(5e-4)
    assert rows[-1]["lr"] < rows[4]["lr"] and rows[-1]["tokens"] == 40 * 8 * 128 + 15 * 4 * 128
    assert status_of(fork)["state"] == "finished"
    assert "annealed" in zebra("checkpoint", "show", fork)[0]
    assert hashes(trained) == before


def test_a_fork_refuses_what_it_cannot_do(trained, data, run_file, tmp_path):
    (tmp_path / "taken").mkdir()
    _, error = zebra("checkpoint", "fork", trained, "--output", tmp_path / "taken", "--set", "model.hidden_size=32",
                     "--set", "model.num_key_value_heads=4", "--set", "run.dir=x", status=2)
    for expected in ("taken: exists already", "model.hidden_size: 64 -> 32", "model.num_key_value_heads: 2 -> 4", "--output"):
        assert expected in error
    output, _ = zebra("checkpoint", "fork", trained, "--output", tmp_path / "done", "--dry-run")
    assert "Nothing is left to train" in output
    _, error = zebra("checkpoint", "fork", trained, status=2)
    assert "--output is required" in error


def weights_of(checkpoint):
    """float32 weights by name, of a checkpoint of one part."""
    stored = load_file(checkpoint / "weights-00000.safetensors")
    return {key.split("@")[0]: values for key, values in stored.items()}


def test_average_is_a_checkpoint_like_any_other(trained, data, tmp_path):
    before = hashes(trained)
    mean = tmp_path / "mean"
    output, _ = zebra("checkpoint", "average", trained, "--last", 3, "--output", mean)
    for expected in ("averaged 3 checkpoints", "step-00000030", f"zebra eval {mean}"):
        assert expected in output
    zebra("checkpoint", "verify", mean)
    parts = [weights_of(place(trained, step)) for step in STEPS]
    averaged = weights_of(mean)
    assert averaged.keys() == parts[0].keys()
    for name, values in averaged.items():
        expected = (sum(part[name].astype(numpy.float64) for part in parts) / len(parts)).astype(numpy.float32)
        assert numpy.array_equal(values, expected), name
        assert not numpy.array_equal(values, parts[-1][name])
    names = {"config.yaml", "tokenizer.model", "weights-00000.safetensors", "manifest.json"}
    assert {path.name for path in mean.iterdir()} == names
    shown = json.loads(zebra("checkpoint", "show", mean, "--json")[0])
    assert shown["step"] == 50 and [part["step"] for part in shown["training"]["averaged_from"]] == list(STEPS)
    assert "averaged from" in zebra("checkpoint", "show", mean)[0]

    zebra("eval", mean, "--max-tokens", 1024, "--json", tmp_path / "mean.json")  # of the run's own data
    assert 0 < json.loads((tmp_path / "mean.json").read_text())["loss"] < 6.5
    assert zebra("generate", mean, "--prompt", "def ", "--max-new-tokens", 4)[0]
    zebra("export", mean, "--output", tmp_path / "exported")
    run_file = tmp_path / "further.yaml"
    run_file.write_text(f"run: {{dir: {tmp_path / 'further'}, device: cpu}}\nmodel: {{init_from: {mean}}}\n"
                        f"data: {{tokenizer: {data}/tok.model, train: [{{path: {data}/train}}], sequence_length: 128}}\n"
                        "train: {max_steps: 2, global_batch_size: 4}\n")
    zebra("train", run_file)
    assert hashes(trained) == before


def test_average_refuses_what_it_cannot_do(trained, run, tmp_path):
    _, error = zebra("checkpoint", "average", trained, "--last", 4, "--output", tmp_path / "mean", status=2)
    assert "holds 3 whole checkpoints, not 4" in error
    _, error = zebra("checkpoint", "average", f"{trained}@30", f"{trained}@30", "--output", tmp_path, status=2)
    assert "means the same checkpoint" in error and "exists already" in error
    zebra("checkpoint", "average", trained, "--last", 1, "--output", tmp_path / "mean", status=2)
    zebra("checkpoint", "fork", f"{trained}@40", "--output", tmp_path / "fork", "--set", "model.window_size=8")
    _, error = zebra("checkpoint", "average", trained, tmp_path / "fork", "--output", tmp_path / "mean", status=2)
    assert "is of another model" in error and "model.window_size: 16 -> 8" in error
    flip_a_bit(place(run, 40) / "weights-00000.safetensors")
    _, error = zebra("checkpoint", "average", run, "--last", 2, "--output", tmp_path / "mean", status=2)
    assert "step-00000040/weights-00000.safetensors: is corrupt" in error
    assert not (tmp_path / "mean").exists() and not list(tmp_path.glob("mean.partial*"))
    mean = tmp_path / "whole"
    zebra("checkpoint", "average", f"{trained}@30", f"{trained}@50", "--output", mean)
    _, error = zebra("checkpoint", "fork", mean, "--output", tmp_path / "from-mean", status=2)
    assert "no training state" in error and "model.init_from" in error
