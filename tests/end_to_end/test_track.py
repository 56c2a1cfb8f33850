"""scripts/track.py against the real packages, into folders of this machine."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from conftest import COMMAND_SECONDS, ROOT, zebra

SCRIPT = ROOT / "scripts/track.py"
FAKE = """\
import json, os
def init(**settings):
    open(os.environ["SENT"], "a").write(json.dumps({"id": settings["id"]}) + "\\n")
    return Session()
class Session:
    def log(self, values, step, commit):
        assert commit
        open(os.environ["SENT"], "a").write(json.dumps({"step": step, **values}) + "\\n")
        if step == int(os.environ.get("FAILS_AT", 0)):
            raise ConnectionError("no network")
    def finish(self, exit_code):
        open(os.environ["SENT"], "a").write(json.dumps({"exit_code": exit_code}) + "\\n")
"""


def track(run, *arguments, status=0, **environment):
    result = subprocess.run([sys.executable, SCRIPT, run, *map(str, arguments)], capture_output=True, text=True, timeout=COMMAND_SECONDS,
                            env=os.environ | {"OMP_NUM_THREADS": "1"} | {name: str(value) for name, value in environment.items()})
    assert result.returncode == status, result.stdout + result.stderr
    return result.stderr


def figures_of(run):
    """step -> its scalar figures, of training and validation rows together."""
    steps = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        steps.setdefault(row.pop("step"), {}).update({key: value for key, value in row.items() if isinstance(value, (int, float))})
    return steps


def stopped_and_resumed(run_file, send):
    """Trains in three parts, the second of which loses steps 31 to 33, and sends after each."""
    run = run_file.parent / "run"
    for last in (20, 33, 0):
        zebra("train", run_file, *(["--stop-after", last] if last else []))
        if last == 33:
            shutil.rmtree(run / "checkpoints/step-00000033")
            status = json.loads((run / "status.json").read_text())
            status["checkpoint"] = str(run / "checkpoints/step-00000030")  # as a run that was killed leaves it
            (run / "status.json").write_text(json.dumps(status))
        send(run)
    return figures_of(run)


@pytest.fixture
def pretended(tmp_path):
    """A `wandb` that writes down what it is sent."""
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages/wandb.py").write_text(FAKE)
    sent = tmp_path / "sent.jsonl"
    sent.touch()
    return {"PYTHONPATH": tmp_path / "packages", "SENT": sent}, lambda: [json.loads(line) for line in sent.read_text().splitlines()]


def test_each_step_is_sent_once_with_its_figures(run_file, pretended):
    environment, sent = pretended
    expected = stopped_and_resumed(run_file, lambda run: track(run, "--to", "wandb", **environment))
    rows = [row for row in sent() if "step" in row]
    assert [row["step"] for row in rows] == list(range(1, 51))
    for row in rows:
        assert {name: row[name] for name in expected[row["step"]]} == expected[row["step"]]
    assert "by_position/0-1/loss" in rows[24]
    assert len({row["id"] for row in sent() if "id" in row}) == 1


def test_a_tracker_that_fails_is_sent_the_rest_later(trained, tmp_path, pretended):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    environment, sent = pretended
    track(run, "--to", "wandb", status=1, FAILS_AT=7, **environment)
    track(run, "--to", "wandb", **environment)
    assert [row["step"] for row in sent() if "step" in row] == [*range(1, 8), *range(7, 51)]  # whether it has 7 only it knows


def test_it_follows_a_run_to_its_end(run_file, pretended):
    environment, sent = pretended
    zebra("train", run_file, "--stop-after", 1)
    run = run_file.parent / "run"
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"state": "running"}))
    follower = subprocess.Popen([sys.executable, SCRIPT, run, "--to", "wandb", "--follow", "--every", "0.1"],
                                env=os.environ | {name: str(value) for name, value in environment.items()})
    zebra("train", run_file)
    assert follower.wait(COMMAND_SECONDS) == 0
    assert [row["step"] for row in sent() if "step" in row] == list(range(1, 51))


def test_a_step_is_sent_live_when_its_validation_is_there(trained, tmp_path, pretended):
    environment, sent = pretended
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    rows, status = (run / "metrics.jsonl").read_text(), json.loads((run / "status.json").read_text())
    before, validation = rows[:rows.index('{"step":25,"validation_loss"')], rows[rows.index('{"step":25,"validation_loss"'):]
    for written in (before, before + validation[:validation.index("\n") + 1], rows):
        (run / "metrics.jsonl").write_text(written)
        state = "failed" if written == rows else "running"
        (run / "status.json").write_text(json.dumps(status | {"state": state, "checkpoint": None}))
        track(run, "--to", "wandb", "--live", **environment)
    found = [row for row in sent() if "step" in row]
    assert [row["step"] for row in found] == list(range(1, 51))
    assert "loss" in found[24] and "validation_loss" in found[24]
    assert [row["exit_code"] for row in sent() if "exit_code" in row] == [0, 0, 1]


def test_it_waits_for_a_run_that_begins_and_ends_when_it_is_told_to(run_file, pretended):
    environment, sent = pretended
    zebra("train", run_file, "--stop-after", 1)
    run = run_file.parent / "run"
    (run / "status.json").unlink()
    with subprocess.Popen([sys.executable, SCRIPT, run, "--to", "wandb", "--follow", "--live", "--every", "0.1"],
                          stderr=subprocess.PIPE, text=True,
                          env=os.environ | {name: str(value) for name, value in environment.items()}) as follower:
        with (run / "metrics.jsonl").open("a") as file:
            file.write('{"step":2,"loss":1.5}\n')
        assert "sent up to step 1" in follower.stderr.readline()
        assert "another process sends this run to wandb" in track(run, "--to", "wandb", status=2, **environment)
        follower.terminate()
        assert follower.wait(COMMAND_SECONDS) == 0
    assert sent()[-1] == {"exit_code": 0}


def test_what_cannot_be_sent_is_refused(tmp_path, trained):
    assert "is no run folder" in track(tmp_path, "--to", "wandb", status=2)
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (tmp_path / "wandb.py").write_text("raise ModuleNotFoundError(name='wandb')")
    assert "pip install wandb" in track(run, "--to", "wandb", status=2, PYTHONPATH=tmp_path)
    assert not (run / "tracking").exists()


def test_mlflow_has_each_step_once(run_file, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="with scripts/requirements-long.txt")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # the small package has no database
    store = f"file:{tmp_path}/mlruns"
    expected = stopped_and_resumed(run_file, lambda run: track(run, "--to", "mlflow", MLFLOW_TRACKING_URI=store))
    client = mlflow.MlflowClient(store)
    [run] = client.search_runs([client.get_experiment_by_name("zebra").experiment_id])
    assert run.info.run_name == "tiny" and run.info.status == "FINISHED"
    assert run.data.params["model.hidden_size"] == "64"
    for name in ("loss", "lr", "tokens_per_second", "validation_loss"):
        found = [(figure.step, figure.value) for figure in client.get_metric_history(run.info.run_id, name)]
        assert sorted(found) == [(step, row[name]) for step, row in sorted(expected.items()) if name in row]


def test_mlflow_keeps_once_what_it_is_sent_twice(trained, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="with scripts/requirements-long.txt")
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    # A dataset is called by its whole path where another's folder has the same name.
    rows = (run / "metrics.jsonl").read_text().replace('"by_position"', '"by_dataset":[{"name":"/a[0]/b","loss":2.5}],"by_position"')
    (run / "metrics.jsonl").write_text(rows)
    store = f"sqlite:///{tmp_path}/mlflow.db"
    for _ in range(2):  # the second time as if it had been killed before it could write down what it had sent
        track(run, "--to", "mlflow", MLFLOW_TRACKING_URI=store)
        memory = json.loads((run / "tracking/mlflow.json").read_text())
        assert memory["step"] == 50
        (run / "tracking/mlflow.json").write_text(json.dumps(memory | {"step": 3}))
    client = mlflow.MlflowClient(store)
    [found] = client.search_runs([client.get_experiment_by_name("zebra").experiment_id])
    losses = client.get_metric_history(found.info.run_id, "loss")
    assert sorted(figure.step for figure in losses) == list(range(1, 51))
    times = [figure.timestamp for figure in sorted(losses, key=lambda figure: figure.step)]
    seconds = [row["seconds"] for row in map(json.loads, rows.splitlines()) if "seconds" in row]
    assert times[-1] - times[0] == pytest.approx(1000 * (seconds[-1] - seconds[0]), abs=2)
    assert found.data.metrics["by_dataset/a_0_/b/loss"] == 2.5


def test_trackio_has_each_step_once(run_file, tmp_path):
    pytest.importorskip("trackio", reason="with scripts/requirements-long.txt")
    import sqlite3
    expected = stopped_and_resumed(run_file, lambda run: track(run, "--to", "trackio", TRACKIO_DIR=tmp_path / "trackio"))
    [database] = (tmp_path / "trackio").glob("zebra*.db")
    rows = sqlite3.connect(database).execute("select step, metrics from metrics order by step, id").fetchall()
    found = {}
    for step, values in rows:
        assert step not in found
        found[step] = json.loads(values)
    assert sorted(found) == list(range(1, 51))
    for step, row in expected.items():
        assert {name: found[step][name] for name in row} == row


def test_trackio_goes_on_with_a_run_that_had_no_figure_yet(trained, tmp_path):
    pytest.importorskip("trackio", reason="with scripts/requirements-long.txt")
    import sqlite3
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    status = json.loads((run / "status.json").read_text())
    for checkpoint in (None, run / "checkpoints/step-00000030", status["checkpoint"]):
        (run / "status.json").write_text(json.dumps(status | {"checkpoint": checkpoint and str(checkpoint)}))
        track(run, "--to", "trackio", *(["--name", "first"] if checkpoint is None else []), TRACKIO_DIR=tmp_path / "trackio")
    [database] = (tmp_path / "trackio").glob("zebra*.db")
    rows = sqlite3.connect(database).execute("select distinct run_name, step from metrics order by step").fetchall()
    assert [step for _, step in rows] == list(range(1, 51))
    [name] = {name for name, _ in rows}
    assert name.startswith("first-")


def test_wandb_has_each_step_once_in_its_offline_files(run_file):
    pytest.importorskip("wandb", reason="with scripts/requirements-long.txt")
    expected = stopped_and_resumed(run_file, lambda run: track(run, "--to", "wandb", WANDB_MODE="offline"))
    found = {}
    files = sorted(run_file.parent.glob("run/tracking/wandb/offline-run-*/*.wandb"))
    assert len(files) == 3 and len({path.name for path in files}) == 1  # three sessions of one run
    for path in files:
        for step, row in offline_history(path):
            assert step not in found
            found[step] = row
    assert sorted(found) == list(range(1, 51))
    for step, row in expected.items():
        assert {name: found[step][name] for name in row} == row


def offline_history(path):
    """Rows of a file of wandb: LevelDB's log format (blocks of 32 KiB, parts of records) over its own messages."""
    from wandb.proto import wandb_internal_pb2
    content = pathlib.Path(path).read_bytes()
    at, block, record = 7, 32768, b""
    while at + 7 <= len(content):
        if block - at % block < 7:
            at += block - at % block
            continue
        length, kind = int.from_bytes(content[at + 4:at + 6], "little"), content[at + 6]
        record += content[at + 7:at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            message = wandb_internal_pb2.Record.FromString(record)
            record = b""
            if message.HasField("history"):
                row = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in message.history.item}
                yield row["_step"], row
