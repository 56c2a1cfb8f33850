"""scripts/bench/scaling.py on tiny sizes."""

import json
import subprocess
import sys

import pytest
from conftest import BUILD, COMMAND_SECONDS, ROOT, ZEBRA

sys.path.insert(0, str(ROOT / "scripts/bench"))

import scaling  # noqa: E402


def run(*options, status=0):
    command = [sys.executable, ROOT / "scripts/bench/scaling.py", *options]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=COMMAND_SECONDS)
    assert result.returncode == status, f"status {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result


@pytest.mark.skipif(not (BUILD / "tests/zebra_bench_attention").exists(), reason="zebra_bench_attention is not built")
def test_every_table_has_every_size(data, tmp_path):
    file = tmp_path / "scaling.json"
    output = run("--threads", "1,2", "--lengths", "64,96", "--windows", "16,40", "--widths", "64", "--precision", "fp32",
                 "--repetitions", 1, "--folder", tmp_path / "scaling", "--dataset", data / "train", "--tokenizer", data / "tok.model",
                 "--zebra", ZEBRA, "--attention", BUILD / "tests/zebra_bench_attention", "--json", file).stdout
    figures = json.loads(file.read_text())
    assert [(row["threads"], row["length"]) for row in figures["by_length"]] == [(1, 64), (1, 96), (2, 64), (2, 96)]
    assert [(row["threads"], row["window"]) for row in figures["by_window"]] == [(1, 16), (1, 40), (2, 16), (2, 40)]
    assert [(row["threads"], row["width"]) for row in figures["by_heads"]] == [(1, 64), (2, 64)]
    assert [(row["threads"], row["width"]) for row in figures["steps"]] == [(1, 64), (2, 64)]
    for rows in ("by_length", "by_window", "by_heads", "steps"):
        assert all(0 < row["gflops"] and 0 < row["share"] and 0 < row["nanoseconds_per_token"] for row in figures[rows])
    tables = [line for line in output.splitlines() if line.startswith("|")]
    assert len(tables) == 2 * 4 + 2 + 2 + 1 + 1 and all(line.count("|") == 9 for line in tables)


def test_a_table_sets_threads_side_by_side():
    rows = [{"threads": threads, "length": length, "window": 512, "nanoseconds_per_token": nanoseconds, "gflops": 10.0, "share": 0.5}
            for threads, length, nanoseconds in [(1, 512, 200), (1, 4096, 100), (1, 8192, 110), (2, 512, 100), (2, 4096, 60), (2, 8192, 60)]]
    lines = scaling.table(rows, "length", "T").splitlines()
    assert lines[0] == ("| T | 1 thread: ns per token | GFLOP/s | of products | 2 threads: ns per token | GFLOP/s | of products | "
                        "2 / 1 threads |")
    assert lines[3] == "| 4,096 | 100 | 10 | 50 % | 60 | 10 | 50 % | 1.67 |"
    # Shorter than four windows is no steady state.
    assert scaling.flatness(rows).splitlines()[0] == ("1 thread: from 2,048 tokens on, time per token from -5% to +5% of its median.")


@pytest.mark.parametrize("options, message", [(["--widths", "100"], "multiples of 64"), (["--threads", "0"], "numbers from 1"),
                                              (["--zebra", "nowhere"], "nowhere is not there"), (["--dataset", "x"], "belong together")])
def test_bad_usage_is_told(options, message):
    assert message in run(*options, status=2).stderr
