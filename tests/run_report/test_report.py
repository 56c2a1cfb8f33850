"""scripts/run_report on run folders that were written by hand."""

import html.parser
import json
import math
import re
import subprocess
import sys
import time
import types

import pytest
from run_report import contents, curves, plots, reading

ROOT = __import__("pathlib").Path(__file__).resolve().parents[2]
CONFIG = """\
run: {{name: {name}, dir: /r}}
model: {{hidden_size: 64, attention_pattern: GLLL, window_size: {window}}}
data: {{sequence_length: 128}}
train: {{max_steps: {steps}, global_batch_size: 8}}
"""


def write_run(folder, steps=50, window=16, rows=None):
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG.format(name=folder.name, window=window, steps=steps))
    (folder / "status.json").write_text(json.dumps(
        {"state": "running", "step": steps, "reason": "", "checkpoint": None, "updated": "2026-01-31T12:00:00Z"}))
    start = {"date": "2026-01-31T10:00:00Z", "step": 0, "ranks": 1, "host": "a", "machine": "2 x CPU", "commit": "c", "torch": "2",
             "changes": []}
    later = start | {"date": "2026-01-31T11:00:00Z", "step": 20, "ranks": 2, "changes": ["eval.every_steps: 0 -> 25"]}
    (folder / "starts.jsonl").write_text(json.dumps(start) + "\n" + json.dumps(later) + "\n")
    rows = rows or [{"step": step, "loss": 2 + 3 / step, "grad_norm": 0.5, "lr": 1e-3, "tokens": step * 1024, "tokens_per_second": 100.0,
                     "seconds": step * 2.0} for step in range(1, steps + 1)]
    validation = {"step": steps, "validation_loss": 2.125, "bits_per_byte": 1.0, "by_position": [
        {"begin": 0, "end": 1, "loss": 5.0}, {"begin": 1, "end": 2, "loss": 4.0}, {"begin": 2, "end": 4, "loss": 3.0}]}
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, validation]))
    (folder / "samples").mkdir()
    (folder / "samples/step-00000050.txt").write_text("def <b>f</b>():\n    pass\n")
    return folder


def report(*arguments, status=0):
    result = subprocess.run([sys.executable, ROOT / "scripts/run_report", *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == status, result.stderr
    return result.stderr


class Checker(html.parser.HTMLParser):
    """Every element that is opened is closed."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_one_run(tmp_path):
    run = write_run(tmp_path / "run")
    report(run, "--output", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    checker = Checker()
    checker.feed(text)
    assert not checker.open
    assert text.count("<figure>") == 6 and "def &lt;b&gt;f&lt;/b&gt;():" in text
    assert '<span class="line">eval.<wbr>every_<wbr>steps: 0 → 25</span><span class="line">ranks: 1 → 2</span>' in text
    assert "2.1250 at 50" in text and "50 of 50" in text and "1m 40s" in text
    assert not re.search(r'(src|href)="(?!#)', text)  # it needs nothing else
    report(run, "--output", tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == text


def test_several_runs_list_what_differs(tmp_path):
    runs = [write_run(tmp_path / "a/run"), write_run(tmp_path / "b/run", window=32)]
    report(*runs, "--output", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    section = text.split("Settings that differ</h2>")[1]
    assert "model.window_size" in section and "model.hidden_size" not in section and "b/run" in section
    report(*[write_run(tmp_path / name / "run") for name in "cd"], "--output", tmp_path / "same.html")
    assert "All runs have the same settings" in (tmp_path / "same.html").read_text()


def test_twenty_thousand_steps_stay_small(tmp_path):
    run = write_run(tmp_path / "run", steps=20000)
    began = time.process_time()
    report(run, run.parent / "run/../run", "--output", tmp_path / "page.html", status=2)  # the same folder twice
    report(run, "--output", tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 5e6
    assert time.process_time() - began < 60


def test_rows_that_are_odd(tmp_path):
    rows = [{"step": 1, "loss": None, "grad_norm": None, "lr": 0.0, "tokens": 1024, "tokens_per_second": 5.0, "seconds": 1.0, "skipped": True},
            {"step": 2, "loss": 2.0, "grad_norm": 0.0, "lr": 0.0, "tokens": 2048, "tokens_per_second": 5.0, "seconds": 1.0}]
    run = write_run(tmp_path / "run", rows=rows)
    with open(run / "metrics.jsonl", "a") as file:
        file.write("no row\n[]\n{\"step\": 3, \"lo")
    for name in ("status.json", "starts.jsonl"):
        (run / name).unlink()
    report(run, "--output", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "run: 1 step without an update: 1" in text


@pytest.mark.parametrize("fault, told", [("config.yaml", "is no run folder"), ("metrics.jsonl", "holds no row yet")])
def test_what_is_no_run_is_refused(tmp_path, fault, told):
    run = write_run(tmp_path / "run")
    (run / fault).unlink()
    assert told in report(run, "--output", tmp_path / "page.html", status=2)
    assert not (tmp_path / "page.html").exists()


def test_thinned_curves_are_means_in_places_of_equal_width():
    points = [(x, float(x % 2)) for x in range(10000)]
    thin = curves.thinned(points, 100)
    assert len(thin) == 100 and all(abs(y - 0.5) < 0.01 for _, y in thin)
    assert curves.thinned([(1, 2.0), (2, math.nan), (3, None)], 100) == [(1, 2.0)]
    assert curves.thinned([(1, 1.0), (1, 3.0)], 1) == [(1.0, 2.0)]


def test_a_smoothed_line_does_not_lag():
    line = [(x, 3.0 * x) for x in range(1000)]
    assert all(math.isclose(y, 3.0 * x, abs_tol=1e-9) for x, y in curves.smoothed(line))


def test_names_are_the_shortest_ends_that_differ(tmp_path):
    assert reading.names_of([tmp_path / "a/run", tmp_path / "b/run"]) == ["a/run", "b/run"]
    assert reading.names_of([tmp_path / "x"]) == ["x"]


def test_peaks_outlast_thinning():
    points = [(x, 1.0) for x in range(10000)]
    points[1234], points[8765] = (1234, 50.0), (8765, 0.25)
    thin = curves.spanned(points, 100)
    assert len(thin) <= 100 and (1234, 50.0) in thin and (8765, 0.25) in thin
    assert thin == sorted(thin) and curves.spanned(points[:50], 100) == points[:50]


def test_a_short_run_beside_a_long_one_is_in_sight():
    limits = []
    axes = types.SimpleNamespace(set_ylim=lambda low, high: limits.extend((low, high)))
    long, short = ([(x, 2 + 8 / x) for x in range(1, last)] for last in (1001, 21))
    plots._limit(axes, [long, short])
    assert limits[0] < 2.01 and 2 + 8 / 20 < limits[1] < 2.6


def test_settings_are_written_as_in_a_run_file():
    settings = {"train": [{"path": "/a"}, {"path": "/b", "weight": 0.5}], "model": {"tie": False, "betas": [0.9, 0.95]}, "x": None}
    assert dict(contents._flat(settings)) == {"train[0].path": "/a", "train[1].path": "/b", "train[1].weight": "0.5", "model.tie": "false",
                                              "model.betas": "[0.9, 0.95]", "x": "null"}


@pytest.mark.parametrize("value, text", [(0.0, "0"), (2.5e-4, "2.5e-4"), (0.001, "1e-3"), (1e-5, "1e-5"), (0.02, "0.02")])
def test_learning_rates_are_short(value, text):
    assert plots.learning_rate(value) == text


@pytest.mark.parametrize("seconds, unit", [(100, "seconds"), (150, "minutes"), (7100, "minutes"), (7200, "hours"), (2e5, "days")])
def test_time_is_told_in_a_unit_that_fits(seconds, unit):
    assert contents._time_axis([types.SimpleNamespace(steps=[{"seconds": seconds}])])[0] == unit


def test_durations():
    assert [contents._duration(seconds) for seconds in (5, 65, 3700, 90000)] == ["5s", "1m 5s", "1h 1m", "1d 1h"]
