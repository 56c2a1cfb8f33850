"""The thick lines of training losses: means that do not lag behind a loss that falls."""

import importlib.util
import math
import pathlib

import pytest
from ablation_report import measures

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts/plot_loss.py"


def plot_loss():
    spec = importlib.util.spec_from_file_location("plot_loss", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("mean", [measures.smoothed, lambda values: plot_loss().centred_mean(values)])
def test_a_falling_line_stays_where_it_is(mean):
    line = [7 - 0.1 * step for step in range(40)]
    assert mean(line) == pytest.approx(line)
    assert list(mean([2.5])) == [2.5] and list(mean([])) == []


def test_noise_is_averaged_and_what_is_not_finite_passed_over():
    noisy = [3 + (-1) ** step for step in range(40)]
    assert all(abs(value - 3) < 0.2 for value in measures.smoothed(noisy)[6:-6])
    assert measures.smoothed([1.0, math.nan, 1.0]) == pytest.approx([1.0, 1.0, 1.0])


def test_rows_that_cannot_be_read_are_left_out(tmp_path, capsys):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 4, "tokens": 10}\n{"step": 1, "validation_loss": null}\n'
                                            '{"step": 2, "lo\n{"step": 2, "loss": null, "tokens": 20}\n')
    assert plot_loss().read_metrics(tmp_path) == ([(10, 4.0)], [])
    assert "metrics.jsonl: lines that are no rows of metrics are left out: 3\n" in capsys.readouterr().err
