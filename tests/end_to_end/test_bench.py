"""`zebra bench RUN.yaml`: a training step by part."""

import json

import pytest
from conftest import zebra

PARTS = {"forward, embedding", "forward, global layers", "forward, local layers", "forward, head and loss",
         "backward, embedding", "backward, global layers", "backward, local layers", "backward, head and loss",
         "optimizer", "waiting for data", "other"}


def test_a_step_by_part(run_file, tmp_path):
    report, profile = tmp_path / "step.json", tmp_path / "trace.json"
    printed, _ = zebra("bench", run_file, "--steps", 4, "--warm-up", 1, "--json", report, "--profile", profile)
    step = json.loads(report.read_text())
    assert len(step["step_seconds"]) == 4 and min(step["step_seconds"]) > 0
    assert step["tokens_per_step"] == 8 * 128
    median = sorted(step["step_seconds"])
    assert step["tokens_per_second"] == pytest.approx(1024 / ((median[1] + median[2]) / 2))
    assert step["mfu"] == pytest.approx(step["tokens_per_second"] * step["training_flops_per_token"] / step["product_ceiling"])
    assert set(step["part_seconds"]) == PARTS
    assert all(seconds >= 0 for seconds in step["part_seconds"].values())
    assert step["peak_bytes"] > 0 and step["checkpoint_seconds"] > 0 and step["loaded_tokens_per_second"] > 0
    for part in PARTS:
        assert part in printed

    names = {event.get("name") for event in json.loads(profile.read_text())["traceEvents"]}
    assert "zebra: backward, local layers" in names and "aten::mm" in names

    assert not (tmp_path / "run").exists() and not (tmp_path / "run.bench").exists()


def test_what_is_in_the_way_is_not_removed(run_file, tmp_path):
    (tmp_path / "run.bench").mkdir()
    (tmp_path / "run.bench/mine").write_text("precious")
    _, error = zebra("bench", run_file, status=2)
    assert "run.bench: exists already" in error
    assert (tmp_path / "run.bench/mine").exists()


def test_bad_requests(run_file, tmp_path):
    _, error = zebra("bench", run_file, "--steps", 0, status=2)
    assert "--steps" in error
    _, error = zebra("bench", run_file, "--profile", tmp_path / "nowhere/trace.json", status=2)
    assert "nowhere" in error
