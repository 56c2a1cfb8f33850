"""Checkpoints of a running `zebra train`: killed at random, on disks that fill up, with damaged ones left behind."""

import json
import os
import random
import re
import shutil
import subprocess
import time

import pytest
from conftest import COMMAND_SECONDS, LONG, ZEBRA, metrics, status_of, zebra

KILLS = 200 if LONG else 12
NO_SPACE, READ_ONLY = 28, 30
SEED = random.randrange(1 << 32)  # shown with every failure, so that its moments can be had again
moments = random.Random(SEED)


def steps_in(run):
    """The steps of the whole checkpoints."""
    return sorted(int(path.parent.name[5:]) for path in run.glob("checkpoints/step-*/manifest.json")
                  if path.parent.name[5:].isdigit())


def log_of(run):
    path = run / "train.log"
    return path.read_text() if path.exists() else ""


def wait_for(process, run, happened):
    """Waits until the run's log says so, or until the run has ended."""
    began = time.monotonic()
    while process.poll() is None and not happened(log_of(run)):
        assert time.monotonic() - began < COMMAND_SECONDS, "the run neither gets there nor ends"
        time.sleep(0.002)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_kills_at_random_moments_lose_nothing_that_was_saved(trained, run_file, tmp_path):
    print(f"seed of the random moments: {SEED}")
    run = tmp_path / "run"
    kills = 0
    while kills < KILLS:
        lines = log_of(run).count("\n")
        saved = steps_in(run)
        asynchronous = moments.choice(["true", "true", "false"])
        process = subprocess.Popen([ZEBRA, "train", run_file, "--set", "checkpoint.every_steps=2",
                                    "--set", f"checkpoint.asynchronous={asynchronous}"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until = lines + moments.randint(1, 25)
            wait_for(process, run, lambda log: log.count("\n") >= until)
            time.sleep(moments.uniform(0, 0.03))
        finally:
            process.kill()
            process.wait(COMMAND_SECONDS)
        kills += process.returncode != 0
        resumed = re.findall(r"going on from \S+/step-(\d+)", "\n".join(log_of(run).split("\n")[lines:]))
        assert [int(step) for step in resumed] in ([], saved[-1:])
        assert steps_in(run)[-1:] >= saved[-1:]
        if kills == KILLS or status_of(run)["state"] == "finished":
            zebra("train", run_file, "--set", "checkpoint.every_steps=2")
            assert metrics(run) == metrics(trained)
            assert not list(run.rglob("*.partial*")) and not list(run.rglob("*.corrupt*"))
            zebra("checkpoint", "verify", run)
            shutil.rmtree(run)


@pytest.fixture
def on_faulty_disk(faulty_disk, run_file):
    """Starts the run on a disk with the given faults; ends it with the test."""
    processes = []

    def start(*overrides, **faults):
        variables = {f"FAULTY_DISK_{name.upper()}": str(value) for name, value in faults.items()}
        process = subprocess.Popen([ZEBRA, "train", run_file, *overrides], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   text=True, env=os.environ | variables | {"LD_PRELOAD": str(faulty_disk)})
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_a_disk_that_is_full_for_a_while_costs_checkpoints_not_the_run(trained, on_faulty_disk, tmp_path):
    process = on_faulty_disk(paths="step-00000010,step-00000020", error=NO_SPACE)
    _, error = process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == 0, error
    for step, following in ((10, 20), (20, 30)):
        assert re.search(rf"step {step}\b.*step-000000{step}: cannot save the checkpoint: .*No space left on device.*"
                         rf"the next checkpoint is due at step {following}", error)
    assert steps_in(tmp_path / "run") == [30, 40, 50]
    assert metrics(tmp_path / "run") == metrics(trained)
    assert not list(tmp_path.rglob("*.partial*"))


@pytest.mark.parametrize("error, words", [(NO_SPACE, "No space left on device"), (READ_ONLY, "Read-only file system")])
def test_a_last_checkpoint_that_cannot_be_saved_fails_the_run_which_goes_on_from_the_one_before(
        trained, on_faulty_disk, run_file, tmp_path, error, words):
    run = tmp_path / "run"
    process = on_faulty_disk(paths="checkpoints/step-00000050", error=error)  # not its sample
    _, output = process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == 1
    status = status_of(run)
    assert status["state"] == "failed" and words in status["reason"] and "step-00000050" in status["reason"]
    assert output.count(words) == 1
    assert status["checkpoint"].endswith("step-00000040")
    zebra("train", run_file)
    assert metrics(run) == metrics(trained)


def test_training_goes_on_while_a_checkpoint_is_written_and_the_next_may_be_skipped(trained, on_faulty_disk, tmp_path):
    run, gate = tmp_path / "run", tmp_path / "gate"
    process = on_faulty_disk("--set", "checkpoint.when_busy=skip", paths="step-00000010", gate=gate)
    skipped = "the one before is still being written"
    wait_for(process, run, lambda log: log.count(skipped) == 3)
    assert process.poll() is None
    assert steps_in(run) == [] and metrics(run)[-1]["step"] >= 40
    gate.touch()
    _, error = process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == 0, error
    assert steps_in(run) == [10, 50]
    assert metrics(run) == metrics(trained)


def test_a_checkpoint_that_is_due_waits_for_the_one_before(trained, on_faulty_disk, tmp_path):
    run, gate = tmp_path / "run", tmp_path / "gate"
    process = on_faulty_disk(paths="step-00000010", gate=gate)
    wait_for(process, run, lambda log: "step 20/50" in log)
    assert process.poll() is None and steps_in(run) == []
    gate.touch()
    _, error = process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == 0, error
    assert "step 21/50" in log_of(run).split("the checkpoint of step 10: saved")[1]
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {row["step"] for row in rows if "checkpoint_seconds_lost" in row} == {11, 21, 31, 41}
    assert metrics(run) == metrics(trained)


def without_part(checkpoint):
    (checkpoint / "exp_avg-00000.safetensors").unlink()
    return "exp_avg-00000.safetensors"


def truncated(checkpoint):
    os.truncate(checkpoint / "weights-00000.safetensors", 5000)
    return "weights-00000.safetensors"


def with_a_flipped_bit(checkpoint):
    flip_a_bit(checkpoint / "exp_avg_sq-00000.safetensors")
    return "exp_avg_sq-00000.safetensors"


def with_a_damaged_manifest(checkpoint):
    flip_a_bit(checkpoint / "manifest.json")
    return "manifest.json"


def with_another_ones_manifest(checkpoint):
    shutil.copyfile(checkpoint.parent / "step-00000010/manifest.json", checkpoint / "manifest.json")
    return "step-00000020"


@pytest.mark.parametrize("damage", [without_part, truncated, with_a_flipped_bit, with_a_damaged_manifest,
                                    with_another_ones_manifest])
def test_a_damaged_newest_checkpoint_is_set_aside_for_the_one_before(trained, run_file, tmp_path, damage):
    run = tmp_path / "run"
    zebra("train", run_file, "--stop-after", 20)
    named = damage(run / "checkpoints/step-00000020")
    zebra("train", run_file, "--resume", f"{run}@20", status=2)
    output, _ = zebra("train", run_file, "--dry-run")
    assert named in output and "go on from" in output and "step-00000010" in output
    _, error = zebra("train", run_file)
    assert named in error and "step-00000020.corrupt" in error and "going on from" in error
    assert metrics(run) == metrics(trained)
    assert (run / "checkpoints/step-00000020.corrupt").is_dir()


def test_a_run_whose_checkpoints_are_all_damaged_is_refused(run_file, tmp_path):
    zebra("train", run_file, "--stop-after", 20)
    for step in (10, 20):
        flip_a_bit(tmp_path / f"run/checkpoints/step-000000{step}/weights-00000.safetensors")
    _, error = zebra("train", run_file, status=2)
    assert "step-00000010" in error and "step-00000020" in error and "no undamaged checkpoint is left" in error
    assert len(list((tmp_path / "run/checkpoints").iterdir())) == 2


def test_what_stays(run_file, tmp_path):
    zebra("train", run_file, "--set", "checkpoint={every_steps: 5, keep_last: 1, keep_every: 20, keep_best: 2}",
          "--set", "eval.every_steps=15")
    losses = {row["step"]: row["validation_loss"] for row in metrics(tmp_path / "run") if "validation_loss" in row}
    assert steps_in(tmp_path / "run") == sorted({20, 40, 50, *sorted(losses, key=losses.get)[:2]})
