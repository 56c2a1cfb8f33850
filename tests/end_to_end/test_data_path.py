"""scripts/bench/data_path.py on a little text."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest
from conftest import COMMAND_SECONDS, ROOT, ZEBRA
from tokenizer_files import write_tokenizer

BENCH = ROOT / "scripts/bench"
TEXT = pathlib.Path(json.__file__).parents[1]  # the standard library


@pytest.fixture
def data_path(tmp_path):
    """Runs the script (or a copy of it) with this interpreter; returns the result after checking its exit status."""
    def run(*options, status=0, scripts=BENCH):
        command = [sys.executable, scripts / "data_path.py", "--python", sys.executable, "--zebra", ZEBRA, "--text", TEXT,
                   "--megabytes", 1, "--vocabulary", 512, "--rounds", 2, "--threads", 2, "--folder", tmp_path / "work", *options]
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=COMMAND_SECONDS)
        assert result.returncode == status, f"status {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result
    return run


def test_all_programs_make_the_same_number_of_tokens(data_path, tmp_path):
    result = data_path("--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert {"zebra data pack", "tokenizers"} <= set(figures["packing"])
    assert set(figures["packing"]) | set(figures["missing"]) == {
        "zebra data pack", "sentencepiece (Python)", "spm_encode", "tokenizers"}
    assert figures["text_bytes"] >= 1_000_000
    for name, rounds in figures["packing"].items():
        assert len(rounds) == 2 and all(seconds > 0 and tokens > 0 for seconds, tokens, *_ in rounds)
        assert f"| {name} |" in result.stdout
    for name in figures["missing"]:
        assert f"| {name} (not there: " in result.stdout
    assert figures["loaded"] > figures["trained"] > 0
    assert "The loader delivers" in result.stdout


def test_a_tokenizer_json_is_measured_against_tokenizers(data_path, tmp_path):
    write_tokenizer(tmp_path / "bpe", "llama3", [(TEXT / "argparse.py").read_text()])
    result = data_path("--tokenizer", tmp_path / "bpe/tokenizer.json", "--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures["packing"]) == {"zebra data pack", "tokenizers"} and not figures["missing"]
    assert all(0 < within <= seconds for seconds, _, within in figures["packing"]["tokenizers"])
    assert "Encoding alone takes tokenizers" in result.stdout and "loader" not in result.stdout


def test_other_tokens_are_noticed(data_path, tmp_path):
    scripts = tmp_path / "scripts"
    shutil.copytree(BENCH, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    source = (scripts / "encode_peer.py").read_text()
    counted = "tokens += len(ids)"
    assert source.count(counted) == 1
    (scripts / "encode_peer.py").write_text(source.replace(counted, "tokens += len(ids) + 1"))
    assert "the numbers of tokens differ" in data_path("--rounds", 1, status=1, scripts=scripts).stderr


@pytest.mark.parametrize("options, said", [(["--text", "nowhere"], "nowhere is not there"),
                                           (["--rounds", 0], "must be at least 1"),
                                           (["--json", "nowhere/figures.json"], "its folder is not there")])
def test_what_cannot_work_is_refused(data_path, options, said):
    assert said in data_path(*options, status=2).stderr
