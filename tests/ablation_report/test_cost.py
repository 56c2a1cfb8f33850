"""Measured and predicted cost, from plot_cost.py and in the report."""

import json
import re
import xml.etree.ElementTree as ElementTree

import synthetic
from conftest import run

from ablation_report import cost_plots, drawing


def test_plot_cost(tmp_path):
    (tmp_path / "cost.json").write_text(json.dumps(synthetic.cost()))
    for name in ("first.svg", "deep/second.svg"):
        output, _ = run("plot_cost.py", tmp_path / "cost.json", tmp_path / name)
        assert output == f"{tmp_path / name}\n"
    svg = (tmp_path / "first.svg").read_bytes()
    assert (tmp_path / "deep/second.svg").read_bytes() == svg
    root = ElementTree.fromstring(svg)
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    for word in ("forward", "backward", "optimizer", "prefill", "per token", "mix:1", "mix:3",
                 "all local", "measured", "predicted", "4K", "no prediction"):
        assert word in words, word


def curves(axes, dashed):
    return [line for line in axes.get_lines()
            if len(line.get_xdata()) == 3 and (line.get_markerfacecolor() == "white") == dashed]


def test_what_is_drawn(read):
    a_study = read(synthetic.study([synthetic.arm("a", 1, "GLLGLL", None)], cost=synthetic.cost()))
    named = cost_plots.names(a_study.cost)
    figure = cost_plots.measured_and_predicted(a_study.cost, named, drawing.styles(named.values()))
    above, below = figure.axes[:5], figure.axes[5:]
    for axes, phase in zip(above, ("forward", "backward", "optimizer", "prefill", "per_token")):
        measured, predicted = curves(axes, False), curves(axes, True)
        assert len(measured) == 3 and len(predicted) == (0 if phase == "optimizer" else 3)
        rows = [row for row in synthetic.cost()["rows"] if row["layout"] == "mix:1"]
        assert list(measured[0].get_xdata()) == [row["length"] for row in rows]
        assert list(measured[0].get_ydata()) == [row["seconds"][phase] for row in rows]
    for axes, phase in zip(below, ("forward", "backward", "optimizer", "prefill", "per_token")):
        ratios = [value for line in curves(axes, False) for value in line.get_ydata()]
        assert len(ratios) == (0 if phase == "optimizer" else 9)
        assert all(abs(ratio - 1.25) < 1e-9 for ratio in ratios)


def test_values_that_are_missing_are_not_drawn(read):
    cost = synthetic.cost()
    for row in cost["rows"]:
        row["seconds"]["forward"] = None
        row["predicted_seconds"] = {}
        row["tokens_per_second"] = row["peak_memory_gib"] = None
    a_study = read(synthetic.study([synthetic.arm("a", 1, "GLLGLL", None)], cost=cost))
    named = cost_plots.names(a_study.cost)
    styles = drawing.styles(named.values())
    figure = cost_plots.measured_and_predicted(a_study.cost, named, styles)
    assert [axes.get_title() for axes in figure.axes] == [
        "backward", "optimizer", "prefill", "per token"]
    assert cost_plots.by_length(a_study.cost, named, styles) is None


def test_a_layout_of_a_group_is_drawn_as_the_group(read):
    arms = [synthetic.arm("one in three", 1, "GLLGLL", None), synthetic.arm("b", 1, "LLLLLL", None),
            synthetic.arm("c", 1, "LLLLLL", None)]
    a_study = read(synthetic.study(arms, cost=synthetic.cost()))
    assert cost_plots.names(a_study.cost, a_study.groups) == {
        "mix:1": "mix:1", "mix:3": "one in three", "all local": "all local"}


def test_costs_in_the_report(known_report):
    text = (known_report / "report.md").read_text()
    assert re.search(r"Measured on 2 x Test CPU, cpu, 2 threads, fp32\.", text)
    svg = (known_report / "plots/cost_by_length.svg").read_text()
    assert ">Tokens per second<" in svg and ">Peak memory (GiB)<" in svg and ">4K<" in svg
