"""Results that cannot be read: one message that names every problem, status 2, nothing written."""

import copy
import errno
import json

import pytest
import synthetic
from conftest import run

from ablation_report import files


def message(tmp_path, text, script="ablation_report"):
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text if isinstance(text, str) else json.dumps(text))
    output = tmp_path / "output"
    arguments = [path, "--output", output] if script == "ablation_report" else [path, output]
    standard, errors = run(script, *arguments, status=2)
    assert standard == "" and not output.exists()
    assert errors.startswith(f"{script.removesuffix('.py')}: {path}:") and "Traceback" not in errors
    return errors


@pytest.mark.parametrize("script", ["ablation_report", "plot_cost.py"])
@pytest.mark.parametrize("text, expected", [
    (None, "no such file"), ("", "not valid JSON"), ('{"arms": [', "not valid JSON"),
    ("[" * 100000, "not valid JSON"), ("3", "the file: 3 is not an object")])
def test_no_results(tmp_path, script, text, expected):
    assert expected in message(tmp_path, text, script)


def test_all_problems_are_named_at_once(tmp_path):
    results = synthetic.study([synthetic.arm("a", 1, "GL", synthetic.ALL)])
    del results["name"]
    results["bands"]["window"] = 0
    arm = results["arms"][0]
    arm["seed"] = "one"
    arm["state"] = "done"
    arm["validation_curve"][3]["loss"] = "low"
    arm["recall"]["probes"][0]["exact"][5] = 2
    arm["recall"]["text"]["bigrams"][1]["class"] = "near"
    errors = message(tmp_path, results)
    assert [line.split()[0].rstrip(":") for line in errors.splitlines()[1:]] == [
        "name", "bands.window", "arms[0].seed", "arms[0].state", "arms[0].validation_curve[3].loss",
        "arms[0].recall.text.bigrams[1].class", "arms[0].recall.probes[0].exact[5]"]


def test_many_problems_are_cut_short(tmp_path):
    arms = [{"name": f"{index}"} for index in range(40)]
    errors = message(tmp_path, synthetic.study(arms))
    assert len(errors.splitlines()) == 22 and errors.endswith("and 100 more\n")


def wrong(change):
    results = synthetic.study([synthetic.arm(name, 1, "GL", synthetic.ALL) for name in "ab"])
    change(copy.copy(results["arms"]), results)
    return results


@pytest.mark.parametrize("change, expected", [
    (lambda arms, results: results.update(arms=[]), "arms is empty"),
    (lambda arms, results: arms[1].update(name=arms[0]["name"]), "2 are named 'a-seed-1'"),
    (lambda arms, results: arms[0].update(layout="GX"), "arms[0].layout: 'GX'"),
    (lambda arms, results: arms[0]["recall"]["probes"][0]["item"].pop(), "differ in length"),
    (lambda arms, results: arms[0]["recall"]["probes"][0].update(task="../copying"),
     "arms[0].recall.probes[0].task: '../copying'"),
    (lambda arms, results: arms[1]["recall"]["probes"][0].update(chance=0.5),
     "arms[1].recall.probes[0].chance differs"),
    (lambda arms, results: arms[1]["recall"]["probes"][0].update(chance=None),
     "arms[1].recall.probes[0].chance is not a number"),
    (lambda arms, results: arms[0]["recall"]["probes"].append(arms[0]["recall"]["probes"][0]),
     "associative_recall at length 256 is there 2 times"),
    (lambda arms, results: arms[0]["recall"]["text"]["bigrams"][0]["tokens"].pop(),
     "nats and tokens differ in length"),
    (lambda arms, results: arms[0]["recall"]["text"]["context"]["cut"].pop(),
     "full and cut differ in length"),
    (lambda arms, results: arms[0]["recall"]["probes"][0].update(strategies=["newest"]),
     "arms[0].recall.probes[0]: strategies and blind need each other"),
    (lambda arms, results: arms[0]["recall"]["probes"][0].update(strategies=["newest"], blind=[0]),
     "item and blind differ in length"),
    (lambda arms, results: arms[0]["recall"]["probes"][0].update(
        strategies=["newest"], blind=[2] * len(arms[0]["recall"]["probes"][0]["item"])),
     "blind has bits of more than 1 strategies"),
    (lambda arms, results: arms[0]["recall"]["probes"][0].update(earlier=[{"step": 9, "exact": [1]}]),
     "arms[0].recall.probes[0].earlier: exact differs in length"),
    (lambda arms, results: arms[0]["recall"]["probes"][0].update(earlier=[
        {"step": 600, "exact": arms[0]["recall"]["probes"][0]["exact"]}]),
     "arms[0].recall.probes[0].earlier: the steps do not ascend to that of the arm"),
    (lambda arms, results: results.update(contrast="c"), "contrast: no arm is of a group 'c'"),
    (lambda arms, results: arms[1].update(group="a"), "arms: 2 of group 'a' have seed 1"),
    (lambda arms, results: arms[0]["key_value_cache_bytes"].update(much=1),
     "a key is not a number of tokens"),
])
def test_results_that_contradict_themselves(tmp_path, change, expected):
    assert expected in message(tmp_path, wrong(change))


def test_output_that_cannot_be_written(tmp_path):
    results = tmp_path / "results.json"
    results.write_text(json.dumps(synthetic.study([synthetic.arm("a", 1, "GL", None)])))
    (tmp_path / "taken").write_text("")
    _, errors = run("ablation_report", results, "--output", tmp_path / "taken", status=1)
    assert "cannot be written" in errors and "Traceback" not in errors


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "file"
    files.write(path, "old")

    def fails(*_):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(files.os, "replace", fails)
    with pytest.raises(OSError, match="no space left") as fault:
        files.write(path, "new")
    assert fault.value.errno == errno.ENOSPC and fault.value.filename == str(path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_plot_cost_without_measurements(tmp_path):
    cost = {**synthetic.cost(), "rows": []}
    assert "rows is empty" in message(tmp_path, cost, "plot_cost.py")
    cost["rows"] = [{"layout": "mix:4", "pattern": "GLLL", "length": 4, "seconds": {}}]
    assert "no row has measured seconds" in message(tmp_path, cost, "plot_cost.py")
