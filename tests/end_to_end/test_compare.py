"""scripts/bench/compare.py on a tiny case, and the attention of its peers."""

import json
import math
import shutil
import subprocess
import sys

import pytest
import torch
from conftest import COMMAND_SECONDS, ROOT, ZEBRA

BENCH = ROOT / "scripts/bench"
sys.path.insert(0, str(BENCH))

import peer_attention  # noqa: E402

TINY = ["--layers", 2, "--width", 32, "--heads", 4, "--key-heads", 2, "--intermediate", 88, "--vocabulary", 512, "--group", 2,
        "--window", 16, "--batch", 2, "--length", 64, "--precision", "fp32", "--device", "cpu", "--threads", 1,
        "--peers", "eager-chunked", "--rounds", 1, "--steps", 2]


@pytest.fixture
def compare(data, tmp_path):
    """Runs the script (or a copy of it) with this interpreter; returns the result after checking its exit status."""
    def run(*options, status=0, scripts=BENCH):
        command = [sys.executable, scripts / "compare.py", *TINY, "--python", sys.executable, "--zebra", ZEBRA, "--dataset",
                   data / "train", "--tokenizer", data / "tok.model", "--folder", tmp_path / "compare", *options]
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=COMMAND_SECONDS)
        assert result.returncode == status, f"status {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result
    return run


def copied_scripts(folder, text, fault):
    """A copy in which a piece of the peers' attention is another one."""
    scripts = folder / "scripts"
    shutil.copytree(BENCH, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    source = (scripts / "peer_attention.py").read_text()
    assert source.count(text) == 1
    (scripts / "peer_attention.py").write_text(source.replace(text, fault))
    return scripts


def visible(queries, keys, window):
    distance = torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)[None, :]
    return (distance >= 0) & (distance <= window)


def definition(q, k, v, window):
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    scores = (q @ k.transpose(-1, -2)) / math.sqrt(q.shape[-1])
    return scores.masked_fill(~visible(q.shape[2], k.shape[2], window), -math.inf).softmax(-1) @ v


@pytest.mark.parametrize("way", peer_attention.Grouping.WAYS)
@pytest.mark.parametrize("form", ["masked", "chunked", "blocked"])
@pytest.mark.parametrize("length, window, heads, key_heads", [(1, 5, 2, 2), (64, 16, 4, 2), (67, 9, 4, 1), (600, 100, 4, 2),
                                                              (70, 69, 2, 1), (70, 68, 2, 1), (30, 1, 2, 2), (40, 300, 4, 4)])
def test_local_attention_of_peers(form, way, length, window, heads, key_heads):
    generator = torch.Generator().manual_seed(length)

    def leaf(count):
        return torch.randn(2, count, length, 8, dtype=torch.float64, generator=generator).requires_grad_()

    inputs = leaf(heads), leaf(key_heads), leaf(key_heads)
    weight = torch.randn(2, heads, length, 8, dtype=torch.float64, generator=generator)
    results = []
    attention = peer_attention.local_attention(form, length, window, torch.float64, "cpu", peer_attention.Grouping(way))
    for function in (attention, lambda *qkv: definition(*qkv, window)):
        out = function(*inputs)
        results.append((out, *torch.autograd.grad((out * weight).sum(), inputs)))
    for value, expected in zip(*results):
        assert value.shape == expected.shape
        assert (value - expected).abs().max() <= 1e-12 * (1 + expected.abs().max())  # false for NaN


def test_losses_agree(compare):
    output = compare("--check").stdout
    assert output.count(" agrees") == 2
    losses = [float(word) for word in output.split("ours (float32): ")[1].split()[:5]]
    assert losses == sorted(losses, reverse=True) and losses[0] > losses[-1] + 0.5  # the updates are part of the comparison


def test_deliberate_mismatch_fails(compare, tmp_path):
    scripts = copied_scripts(tmp_path, "(distance > window)", "(distance >= window)")
    result = compare("--check", status=1, scripts=scripts)
    assert "DIFFERS" in result.stdout


def test_measures_and_reports_beside_a_peer_that_fails(compare, tmp_path):
    scripts = copied_scripts(tmp_path, "class Masked:",
                             "def Masked(*arguments):\n    raise ValueError('deliberate')\n\n\nclass Unused:")
    result = compare("--peers", "eager-masked,eager-chunked", "--json", tmp_path / "figures.json", scripts=scripts)
    (case,) = json.loads((tmp_path / "figures.json").read_text())["cases"]
    ours, failed, peer = case["contenders"]
    assert [row["name"] for row in case["contenders"]] == ["ours", "eager-masked", "eager-chunked"]
    assert failed["failure"] == "ValueError: deliberate" and failed["rounds"] == [None] and failed["ratios"] == {}
    assert "eager-masked (failed: ValueError: deliberate)" in result.stdout
    for row in (ours, peer):
        (measured,) = row["rounds"]
        assert len(measured["by_step"]) == len(measured["losses"]) == 2
        assert min(measured["by_step"]) <= measured["tokens_per_second"] <= max(measured["by_step"])
    ratio = ours["rounds"][0]["tokens_per_second"] / peer["rounds"][0]["tokens_per_second"]
    assert peer["ratios"]["ours"] == {"median": ratio, "lowest": ratio, "highest": ratio}
    assert peer["rounds"][0]["peak_bytes"] > 2**20
    assert f"{ratio:.2f} |" in result.stdout and "round 1 of 1 done" in result.stderr


@pytest.mark.parametrize("options, words", [
    (["--peers", "eager-flash"], "there is no eager-flash on cpu"), (["--cases", "4by8"], "give batch x length"),
    (["--steps", 0], "at least 1"), (["--heads", 3], "multiple of --heads"), (["--key-heads", 3], "multiple of --key-heads"),
    (["--zebra", "nowhere"], "nowhere is not there"), (["--rouns", 3], "")])
def test_wrong_usage(compare, options, words):
    assert words in compare(*options, status=2).stderr


def test_dry_run_writes_nothing(compare, tmp_path):
    assert "Measurement: 1 rounds, each of 1 + 2 steps" in compare("--dry-run").stdout
    assert not (tmp_path / "compare").exists()
