"""`zebra train`: the run folder, stopping by signals, and resuming to the bit."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from conftest import COMMAND_SECONDS, LONG, ZEBRA, metrics, status_of, zebra

STOPPED = 75
DEADLINE = 300  # seconds
SEED = random.randrange(1 << 32)  # shown with every failure, so that its moments can be had again
moments = random.Random(SEED)


@pytest.fixture
def start(run_file):
    """Starts training in the background; what still runs at the end of the test is killed."""
    print(f"seed of the random moments: {SEED}")
    processes = []

    def run(*overrides):
        process = subprocess.Popen([ZEBRA, "train", run_file, *overrides], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()


def log_lines(run):
    path = run / "train.log"
    return path.read_text().count("\n") if path.exists() else 0


def wait_for_log(process, run, lines):
    """Waits until the run's log, which only grows, has so many lines, or until the run has ended."""
    began = time.monotonic()
    while process.poll() is None and log_lines(run) < lines:
        assert time.monotonic() - began < DEADLINE, "the run neither logs nor ends"
        time.sleep(0.005)


def test_run_folder(trained):
    for name in ("config.yaml", "tokenizer.model", "build.json", "starts.jsonl", "status.json", "metrics.jsonl", "train.log"):
        assert (trained / name).is_file()
    status = status_of(trained)
    assert status["state"] == "finished" and status["step"] == 50
    assert sorted(path.name for path in (trained / "checkpoints").iterdir()) == [
        "step-00000030", "step-00000040", "step-00000050"]
    rows = metrics(trained)
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps] == list(range(1, 51))
    assert steps[-1]["tokens"] == 50 * 8 * 128
    assert steps[-1]["loss"] < steps[0]["loss"] - 1
    validations = [row for row in rows if "validation_loss" in row]
    assert [row["step"] for row in validations] == [25, 50]
    assert [bucket["begin"] for bucket in validations[0]["by_position"]] == [0, 1, 2, 4, 8, 16, 32, 64]
    assert (trained / "samples" / "step-00000050.txt").read_text()


def test_a_finished_run_ends_with_0_and_changes_nothing(run_file, tmp_path):
    zebra("train", run_file, "--set", "train.max_steps=12")
    before = (tmp_path / "run/metrics.jsonl").read_bytes()
    zebra("train", tmp_path / "run/config.yaml")
    assert status_of(tmp_path / "run")["state"] == "finished" and status_of(tmp_path / "run")["step"] == 12
    assert (tmp_path / "run/metrics.jsonl").read_bytes() == before


def test_a_longer_run_says_that_the_learning_rate_rises_again(run_file):
    zebra("train", run_file, "--set", "train.max_steps=12")
    _, log = zebra("train", run_file, "--set", "train.max_steps=24", "--stop-after", 13)
    assert "over 24 steps, not 12: the learning rate rises again, from 1.00e-04 at step 12 to" in log


def test_a_longer_run_says_that_the_window_shrinks_again(run_file, tmp_path):
    stages = ("--set", "model.window_schedule=[{until: 0.75, window: 2}]")
    zebra("train", run_file, "--set", "train.max_steps=12", *stages)
    _, log = zebra("train", run_file, "--set", "train.max_steps=24", *stages)
    assert "over 24 steps, not 12: the window of local layers shrinks again, from " in log
    windows = [row["window"] for row in metrics(tmp_path / "run") if "loss" in row]
    assert windows[:9] == [2] * 9 and windows[12:18] == [2] * 6
    assert len(set(windows[9:12] + windows[18:])) == 1 and windows[9] > 2


def test_the_resolved_config_trains_to_the_same_bits(trained, tmp_path):
    zebra("train", trained / "config.yaml", "--set", f"run.dir={tmp_path / 'again'}")
    assert metrics(tmp_path / "again") == metrics(trained)


def test_several_threads_give_the_same_bits_again(run_file, tmp_path):
    runs = []
    for name in ("first", "second"):
        subprocess.run([ZEBRA, "train", run_file, "--set", f"run.dir={tmp_path / name}", "--stop-after", "5"], check=True,
                       env=os.environ | {"OMP_NUM_THREADS": "3"}, capture_output=True, timeout=COMMAND_SECONDS)
        runs.append(metrics(tmp_path / name))
    assert len(runs[0]) == 5 and runs[0] == runs[1]


def test_stop_after_and_resume_in_the_middle_of_an_epoch(trained, run_file, tmp_path):
    zebra("train", run_file, "--stop-after", 13)
    assert status_of(tmp_path / "run")["step"] == 13
    zebra("train", run_file)
    assert metrics(tmp_path / "run") == metrics(trained)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_signal_saves_and_stops_at_a_random_step(trained, start, run_file, tmp_path, name):
    run = tmp_path / "run"
    process = start()
    wait_for_log(process, run, moments.randint(1, 40))
    time.sleep(moments.uniform(0, 0.05))
    process.send_signal(getattr(signal, name))
    status = process.wait(DEADLINE)
    assert status in (0, STOPPED)  # 0: it was already past its last step
    if status == STOPPED:
        said = status_of(run)
        assert said["state"] == "stopped" and name in said["reason"]
        assert os.path.basename(said["checkpoint"]) == f"step-{said['step']:08d}"
        assert len([row for row in metrics(run) if "loss" in row]) == said["step"]
    zebra("train", run_file)
    assert metrics(run) == metrics(trained)


def test_a_second_sigint_stops_at_once(start, tmp_path):
    # One step takes far longer than the test waits for the end.
    process = start("--set", "train.max_steps=1000", "--set", "train.global_batch_size=20000")
    wait_for_log(process, tmp_path / "run", 1)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)  # signals of one kind that wait together are one
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130


def test_two_runs_in_one_folder_refuse_each_other(start, run_file, tmp_path):
    process = start("--set", "train.max_steps=100000")
    wait_for_log(process, tmp_path / "run", 1)
    _, error = zebra("train", run_file, status=2)
    assert "another process trains in this run.dir" in error


def test_a_run_needs_the_tokenizer_only_at_its_start(start, run_file, data, tmp_path):
    tokenizer = tmp_path / "mine.model"
    shutil.copyfile(data / "tok.model", tokenizer)
    process = start("--set", f"data.tokenizer={tokenizer}")
    wait_for_log(process, tmp_path / "run", 1)
    tokenizer.unlink()
    assert process.wait(DEADLINE) == 0
    zebra("generate", tmp_path / "run", "--prompt", "def", "--max-new-tokens", 2)


def test_resume_refuses_other_settings_and_lists_them(run_file, tmp_path):
    zebra("train", run_file, "--stop-after", 2)
    _, error = zebra("train", run_file, "--set", "optimizer.lr=0.1", "--set", "run.seed=2", status=2)
    assert "optimizer.lr: 0.001 -> 0.1" in error and "run.seed: 1 -> 2" in error
    _, error = zebra("train", run_file, "--set", "logging.every_steps=5", "--set", "train.micro_batch_size=8",
                     "--stop-after", 3)
    assert "logging.every_steps: 1 -> 5" in error
    _, error = zebra("train", run_file, "--resume", "never", status=2)
    assert "--resume never" in error


def test_resume_from_another_folder(trained, run_file, tmp_path):
    zebra("train", run_file, "--resume", f"{trained}@40")
    assert [row for row in metrics(tmp_path / "run") if row["step"] > 40] == [
        row for row in metrics(trained) if row["step"] > 40]
    _, error = zebra("train", run_file, "--resume", f"{trained}@40", status=2)
    assert "newer than step 40" in error


def test_a_checkpoint_without_manifest_is_not_taken_for_whole(trained, run_file, tmp_path):
    zebra("train", run_file, "--stop-after", 20)
    (tmp_path / "run/checkpoints/step-00000020/manifest.json").unlink()
    zebra("train", run_file)
    assert metrics(tmp_path / "run") == metrics(trained)


def test_dry_run_checks_everything_and_writes_nothing(run_file, tmp_path):
    output, _ = zebra("train", run_file, "--dry-run")
    assert "attention_pattern: GLGL" in output and "Parameters" in output and "start from scratch" in output
    assert not (tmp_path / "run").exists()
    zebra("train", run_file, "--dry-run", "--set", "data.train=[{path: /nowhere}]", status=2)


def test_a_sample_that_cannot_be_written_costs_itself(run_file, tmp_path):
    zebra("train", run_file, "--stop-after", 20)
    samples = tmp_path / "run/samples"
    if samples.exists():
        shutil.rmtree(samples)
    samples.write_text("a file where the run wants a folder")
    _, error = zebra("train", run_file)
    assert "samples" in error
    assert status_of(tmp_path / "run")["state"] == "finished"
    assert samples.read_text() == "a file where the run wants a folder"


def test_bf16_follows_fp32(trained, run_file, tmp_path):
    zebra("train", run_file, "--set", "train.precision=bf16", "--stop-after", 50)
    full = [row["loss"] for row in metrics(trained) if "loss" in row]
    half = [row["loss"] for row in metrics(tmp_path / "run") if "loss" in row]
    assert all(abs(a - b) < 0.05 for a, b in zip(full, half))
    assert full != half


@pytest.mark.skipif(not LONG, reason="minutes of training: --long")
def test_a_125m_model_in_bf16_does_not_grow(data, tmp_path):
    (tmp_path / "run.yaml").write_text(f"""
run: {{dir: {tmp_path / 'run'}, device: cpu}}
model: {{preset: zebra-125m}}
data: {{tokenizer: {data}/tok.model, train: [{{path: {data}/train}}], sequence_length: 256}}
train: {{max_steps: 50, global_batch_size: 1, micro_batch_size: 1, precision: bf16}}
checkpoint: {{every_steps: 1000}}
logging: {{every_steps: 1}}
""")
    zebra("train", tmp_path / "run.yaml", "--set", "model.vocab_size=32000")
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    memory = [row["memory_gib"] for row in rows]
    print(f"resident GiB: step 5 {memory[4]:.3f}, step 25 {memory[24]:.3f}, step 50 {memory[49]:.3f}")
    assert memory[49] <= 1.01 * memory[4]


@pytest.mark.parametrize("precision, bound", [("fp32", 1e-4), ("bf16", 2e-2)])
def test_the_plain_forms_give_the_same_losses_to_rounding(run_file, tmp_path, precision, bound):
    losses = []
    for kernel in ("", "reference"):
        run = tmp_path / f"run-{kernel}"
        subprocess.run([ZEBRA, "train", run_file, "--set", f"run.dir={run}", "--set", "train.max_steps=12",
                        "--set", f"train.precision={precision}", "--set", "eval.every_steps=0"],
                       env=os.environ | {"ZEBRA_KERNEL": kernel}, check=True, capture_output=True, timeout=COMMAND_SECONDS)
        losses.append([row["loss"] for row in metrics(run)])
    assert len(losses[0]) == 12 and losses[0] != losses[1]  # else the same code ran twice
    assert losses[0] == pytest.approx(losses[1], rel=bound)
