"""Runs that go on although something around them changed: a full disk, a moved project, a lost tokenizer, damaged metrics."""

import errno
import json
import os
import shutil
import subprocess

from conftest import COMMAND_SECONDS, RUN_FILE, ZEBRA, metrics, status_of, zebra


def log_of(run):
    return (run / "train.log").read_text()


def test_what_a_step_writes_on_a_full_disk_costs_itself_and_is_told_once(trained, faulty_disk, run_file, tmp_path):
    run = tmp_path / "run"
    files = ["metrics.jsonl", "train.log", "status.json", "samples"]
    result = subprocess.run([ZEBRA, "train", run_file], capture_output=True, text=True, timeout=COMMAND_SECONDS,
                            env=os.environ | {"LD_PRELOAD": str(faulty_disk), "FAULTY_DISK_ERROR": str(errno.ENOSPC),
                                              "FAULTY_DISK_PATHS": ",".join(f"{run}/{name}" for name in files)})
    assert result.returncode == 0, result.stderr
    for name in files:
        told = [line for line in result.stderr.splitlines() if f"/{name}" in line and "No space left on device" in line]
        lost = [line for line in told if "lost" in line]
        assert len(told) - len(lost) == 1, result.stderr
        assert len(lost) == (name == "metrics.jsonl")
    assert f"{len(metrics(trained))} lines are lost" in result.stderr
    parts = "checkpoints/step-00000050/{}-00000.safetensors".format
    for group in ("weights", "exp_avg", "exp_avg_sq"):
        assert (run / parts(group)).read_bytes() == (trained / parts(group)).read_bytes()
    zebra("train", run_file)
    assert status_of(run)["state"] == "finished"


def test_a_moved_project_goes_on(trained, data, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    for name in ("train", "valid"):
        shutil.copytree(data / name, old / name)
    shutil.copy(data / "tok.model", old)
    (old / "run.yaml").write_text(RUN_FILE.format(dir="runs/a", data="."))
    zebra("train", "run.yaml", "--stop-after", 20, cwd=old)
    old.rename(new)
    zebra("train", "run.yaml", "--stop-after", 30, cwd=new)
    _, error = zebra("train", "new/runs/a/config.yaml", "--stop-after", 40, cwd=tmp_path)
    zebra("eval", "new/runs/a", "--max-tokens", 256, cwd=tmp_path)
    zebra("checkpoint", "fork", "new/runs/a@20", "--output", "forked", cwd=tmp_path)
    new.rename(old)
    _, error = zebra("train", "old/runs/a/config.yaml", cwd=tmp_path)
    assert f"run.dir is {old}/runs/a, where this config.yaml lies, not {new}/runs/a" in error
    assert f"{new}/train is no longer there: {old}/train is used" in error
    assert metrics(old / "runs/a") == metrics(trained)
    assert not new.exists()


def test_moved_data_of_another_content_are_refused(run_file, data, tmp_path):
    zebra("train", run_file, "--stop-after", 10)
    text = run_file.read_text()
    run_file.write_text(text.replace(f"{data}/train", f"{data}/valid"))
    _, error = zebra("train", run_file, status=2)
    assert "must not: data.train" in error
    assert f"zebra checkpoint fork {tmp_path}/run/checkpoints/step-00000010 --output {tmp_path}/run-2 --set 'data.train=" in error
    run_file.write_text(text.replace(f"{data}/valid", f"{data}/train"))
    _, error = zebra("train", run_file, status=2)
    assert "must not: data.validation" in error


def test_the_command_in_a_refusal_starts_a_run_with_the_change(run_file, tmp_path):
    zebra("train", run_file, "--stop-after", 10)
    _, error = zebra("train", run_file, "--set", "optimizer.lr=0.002", status=2)
    fork, train = error[error.index("  zebra checkpoint fork"):].strip().splitlines()
    for command in (fork, f"{train} --stop-after 12"):
        subprocess.run(["bash", "-c", command.strip().replace("zebra", str(ZEBRA), 1)], check=True, capture_output=True)
    assert "lr: 0.002" in (tmp_path / "run-2/config.yaml").read_text()
    assert metrics(tmp_path / "run-2")[-1]["step"] == 12


def test_a_schedule_in_tokens_is_that_in_steps_and_goes_on_exactly(trained, run_file, data, tmp_path):
    text = run_file.read_text()
    step = 8 * 128  # tokens
    run_file.write_text(text.replace("warmup_steps: 10", f"warmup_tokens: {10 * step}")
                        .replace("max_steps: 50", f"max_tokens: {51 * step - 1}"))
    for stop in (7, 20, 50):
        zebra("train", run_file, "--stop-after", stop)
    assert metrics(tmp_path / "run") == metrics(trained)
    resolved = (tmp_path / "run/config.yaml").read_text()
    assert "warmup_steps: 10\n" in resolved and "max_steps: 50\n" in resolved and "warmup_tokens" not in resolved
    # Another batch: as many tokens, in a fork by the command of the refusal and in one that says tokens itself.
    _, error = zebra("train", run_file, "--set", "train.global_batch_size=16", status=2)
    assert "--set schedule.warmup_steps=5" in error and "--set train.max_steps=25" in error and "checkpoint fork" in error
    zebra("checkpoint", "fork", f"{trained}@30", "--output", tmp_path / "fork", "--set", "train.global_batch_size=4",
          "--set", f"schedule.warmup_tokens={10 * step}", "--set", f"train.max_tokens={50 * step}")
    forked = (tmp_path / "fork/config.yaml").read_text()
    assert "warmup_steps: 20\n" in forked and "max_steps: 100\n" in forked
    _, error = zebra("checkpoint", "fork", trained, "--output", tmp_path / "no", "--set", "train.max_tokens=9000",
                     "--set", "train.max_steps=9", status=2)
    assert "train.max_steps: and train.max_tokens both" in error


def test_a_run_whose_tokenizer_vanished_saves_on(run_file, data, tmp_path):
    run = tmp_path / "run"
    tokenizer = tmp_path / "tok.model"
    shutil.copy(data / "tok.model", tokenizer)
    run_file.write_text(run_file.read_text().replace(f"{data}/tok.model", str(tokenizer)))
    process = subprocess.Popen([ZEBRA, "train", run_file], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "step 1/" in line:
            tokenizer.unlink()
            (run / "tokenizer.model").unlink()
    assert process.wait(COMMAND_SECONDS) == 0
    assert (run / "checkpoints/step-00000050/tokenizer.model").read_bytes() == (data / "tok.model").read_bytes()
    zebra("train", run / "config.yaml", "--set", "train.max_steps=52")
    assert (run / "tokenizer.model").read_bytes() == (data / "tok.model").read_bytes()


def test_damaged_rows_of_metrics_are_set_aside_and_told_and_so_are_missing_ones(trained, run_file, tmp_path):
    run = tmp_path / "run"
    zebra("train", run_file, "--stop-after", 20)
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    bad = ['{"step": 3, "lo\n', "\n", '{"step": "five"}\n']
    path.write_text("".join(lines[:3] + bad[:1] + lines[3:8] + bad[1:] + lines[9:]))
    _, error = zebra("train", run_file)
    assert "line 4: it is not JSON" in error and "line 10: it is empty" in error and 'line 11: its step is "five"' in error
    assert "holds 19 of the 20 rows" in error
    assert (run / "metrics.jsonl.unreadable").read_text() == "".join(bad)
    rows = metrics(trained)
    missing = json.loads(lines[8])["step"]
    assert metrics(run) == [row for row in rows if row["step"] != missing or "validation_loss" in row]
