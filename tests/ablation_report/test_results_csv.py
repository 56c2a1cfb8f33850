"""results.csv: one row per measurement, read back and counted again from the results."""

import csv
import io
import re

import pytest
import synthetic
from test_report import mean, share, validation_loss

from ablation_report import results_csv


@pytest.fixture(scope="module")
def rows(known_report):
    with open(known_report / "results.csv", newline="") as file:
        return list(csv.DictReader(file))


def of(rows, quantity, **place):
    """{arm: value} of the rows of a quantity at a place, which each arm has at most once."""
    found = [row for row in rows if row["quantity"] == quantity and
             all(row[key] == str(value) for key, value in place.items())]
    assert len({row["arm"] for row in found}) == len(found)
    return {row["arm"]: float(row["value"]) for row in found}


def finished(results):
    return {arm["name"]: arm for arm in results["arms"] if arm["state"] == "finished"}


def test_every_row_has_one_value_and_a_unit(known, rows):
    arms = {arm["name"]: arm for arm in known["arms"]}
    for row in rows:
        float(row["value"])
        assert row["unit"] in ("count", "FLOP", "GiB", "byte", "nats per token", "share", "s", "1/s")
        if row["arm"]:
            arm = arms[row["arm"]]
            assert (row["group"], row["seed"], row["state"], row["layout"], row["window"]) == (
                arm["group"], str(arm["seed"]), arm["state"], arm["layout"], "16")
            assert row["model.layer_group_size"] == "6"
    assert {row["arm"] for row in rows} - {""} == set(arms)
    places = [tuple(value for key, value in row.items() if key != "value") for row in rows]
    assert len(set(places)) == len(places), "no two rows are of the same"


def test_losses(known, rows):
    for quantity, curve in (("training_loss", "curve"), ("validation_loss", "validation_curve")):
        total = sum(point["loss"] for arm in known["arms"] for point in arm[curve])
        assert sum(float(row["value"]) for row in rows if row["quantity"] == quantity) == (
            pytest.approx(total))
    assert of(rows, "validation_loss", step=600, tokens=600 * 2048.0)["full-seed-2"] == (
        known["arms"][5]["validation_curve"][-1]["loss"])
    assert of(rows, "final_validation_loss") == pytest.approx(
        {name: validation_loss(arm) for name, arm in finished(known).items()})


def test_recall_by_band(known, rows):
    arms = finished(known)
    for band in synthetic.ALL:
        place = {"task": "associative_recall", "length": 256, "band": band}
        assert of(rows, "exact_match", step=600, **place) == pytest.approx(
            {name: share(arm, band) for name, arm in arms.items()})
        inside = {name: [value for value, distance in zip(probe["log_likelihood"], probe["distance"])
                         if synthetic.band(distance) == band]
                  for name, arm in arms.items() for probe in arm["recall"]["probes"]}
        assert of(rows, "asked", **place) == {name: len(of_arm) for name, of_arm in inside.items()}
        assert of(rows, "log_likelihood", **place) == pytest.approx(
            {name: mean(of_arm) for name, of_arm in inside.items()})
    assert set(of(rows, "chance", task="associative_recall").values()) == {synthetic.CHANCE}


def test_text(known, rows):
    arms = finished(known)
    contexts = {name: arm["recall"]["text"]["context"] for name, arm in arms.items()}
    for kind in ("full", "cut"):
        assert of(rows, f"{kind}_context_loss") == pytest.approx(
            {name: mean(context[kind]) for name, context in contexts.items()})
    assert of(rows, "text_loss_by_length", length=1024)["local-seed-3"] == pytest.approx(
        arms["local-seed-3"]["recall"]["text"]["by_length"][-1]["loss"])
    assert of(rows, "text_loss_by_position", first_position=127, last_position=254)["full-seed-1"] == (
        arms["full-seed-1"]["recall"]["text"]["by_position"][7]["loss"])
    tokens = sum(sum(entry["tokens"]) for arm in arms.values()
                 for entry in arm["recall"]["text"]["bigrams"])
    assert sum(float(row["value"]) for row in rows if row["quantity"] == "bigram_tokens") == tokens


def test_speed_is_that_of_the_benchmark_only(known, rows):
    """Arms that shared the machine with others say nothing of speed."""
    timed = [row for row in rows if re.search("second|time", row["quantity"]) or row["unit"] == "s"]
    assert timed and all(row["arm"] == "" and row["quantity"].startswith("bench_") for row in timed)
    cell = known["cost"]["rows"][4]
    found = [row for row in rows if row["layout"] == cell["pattern"] and row["arm"] == "" and
             row["length"] == "1024" and row["quantity"] == "bench_prefill"]
    assert [float(row["value"]) for row in found] == [cell["seconds"]["prefill"]]


def test_earlier_checkpoints_and_difficulties(read):
    arm = synthetic.learning(synthetic.arm("a", 1, "GL", None), {50: synthetic.GUESSING,
                                                                 100: synthetic.ALL}, pairs=8)
    arm["recall"]["probes"].append({**arm["recall"]["probes"][0], "pairs": 32})
    arm["settings"] = {"model.window_size": "4, or 5", "run.seed": "1"}
    rows = list(csv.DictReader(io.StringIO(results_csv.text(read(synthetic.study([arm]))))))
    probe = arm["recall"]["probes"][0]
    for step, exact in ((50, probe["earlier"][0]["exact"]), (100, probe["exact"])):
        place = {"step": step, "task": "associative_recall", "pairs": 8, "hops": ""}
        asked = sum(of(rows, "exact_match", **place, band=band)["a-seed-1"] *
                    of(rows, "asked", pairs=8, band=band)["a-seed-1"] for band in synthetic.ALL)
        assert asked == pytest.approx(sum(exact))
        assert set(of(rows, "exact_match", **place, band="relay")) == {"a-seed-1"}
    assert all(row["model.window_size"] == "4, or 5" for row in rows) and "run.seed" not in rows[0]
    assert {row["tokens"] for row in rows if row["step"] == "50"} >= {"614400.0"}
