"""What reading no key comes to, and recall that is above it or is not."""

import numpy as np
import pytest
import synthetic
from test_recall import BANDS

from ablation_report import contents, findings, markdown, measures, recall, study

# (item, distance, exact, bits of "newest", "oldest"): four answers of two items in the control band.
ROWS = [(0, 3, 1, 0b01), (0, 5, 0, 0b11), (1, 3, 1, 0b01), (1, 9, 1, 0b00), (1, 120, 0, 0b10)]


def tiny(task="associative_recall", chance=0.1, **others):
    item, distance, exact, blind = map(np.array, zip(*ROWS))
    return study.Probe(task, 256, chance, item, distance, np.zeros(len(ROWS)), exact,
                       **{"strategies": ("newest", "oldest"), "blind": blind, **others})


def bands_of(probe):
    key = study.ProbeKey(probe.task, probe.length)
    return recall.figures(key, {1: probe}, recall.bins_of([probe], BANDS), BANDS, None).bands


def test_floors_by_hand():
    control = bands_of(tiny())["control"]
    assert (control.floor.share, control.floor.strategy) == (3 / 4, "newest")
    assert control.excess.mean == pytest.approx(3 / 4 - 3 / 4)
    beyond = bands_of(tiny())["beyond"]
    assert (beyond.floor.share, beyond.floor.strategy) == (1.0, "oldest")
    # Per item, all answers of the band: "newest" has the first item, the model none of both parts.
    of_items = bands_of(tiny("passkey"))["control"]
    assert (of_items.floor.share, of_items.floor.strategy) == (1 / 2, "newest")
    assert of_items.exact.mean == 1 / 2


def test_chance_is_the_least_floor():
    floor = bands_of(tiny(chance=0.9))["control"].floor
    assert (floor.share, floor.strategy, floor.known) == (0.9, None, True)


def test_without_strategies_the_floor_is_not_known():
    floor = bands_of(tiny(strategies=(), blind=None))["control"].floor
    assert (floor.share, floor.strategy, floor.known) == (0.1, None, False)


GUESSED = {"newest": {"control": 0.5, "relay": 0.1, "beyond": 0.05},
           "odd count": {"control": 0.2, "relay": 0.3, "beyond": 0.7}}
COUNTING = {"control": 0.9, "relay": 0.9, "beyond": 0.7}  # beyond: no more than what counting gives


def counting_study():
    return synthetic.study([
        synthetic.arm(group, seed, layout, rates, probes=[{"floors": GUESSED, "items": 200}])
        for seed in (1, 2, 3) for group, layout, rates in (
            ("full", "GGGGGG", synthetic.ALL), ("counting", "GLLGLL", COUNTING),
            ("local", "LLLLLL", COUNTING), ("untrained", "GLGLGL", synthetic.GUESSING))])


def test_counting_is_not_a_lookup(read):
    """Far above chance, and not above the best strategy that reads no key: no verdict, no leak."""
    a_study = read(counting_study())
    verdicts = findings.verdicts(measures.of_study(a_study))
    (key,) = verdicts["full"]
    beyond = {group: of_group[key].bands["beyond"] for group, of_group in verdicts.items()}
    assert beyond == {"full": findings.ABOVE, "counting": findings.NOT_ABOVE,
                      "local": findings.NOT_ABOVE, "untrained": findings.NOT_ABOVE}
    assert not verdicts["local"][key].leak and verdicts["untrained"][key].control_failed
    text = markdown.text(contents.report(a_study)).replace("\\", "")
    assert ("keys are looked up beyond the reach of windows, above what odd count gets without "
            "reading one (") in text
    assert "), by full." in text and "Not learnt is associative_recall at length 256 by untrained." \
        in text
    assert "floors are not known" not in text and "dotted: chance" in text
    assert "above the floor: control and relay" in text


def test_a_control_that_needs_no_lookup_is_none(read):
    """In a window of one pair the newest value is always right: nobody fails there, nor passes."""
    floors = {"newest": {"control": 1.0, "relay": 0.1, "beyond": 0.05}}
    a_study = read(synthetic.study([
        synthetic.arm(group, seed, layout, rates, probes=[{"floors": floors, "items": 200}])
        for seed in (1, 2, 3) for group, layout, rates in (
            ("full", "GGGGGG", {**synthetic.ALL, "control": 1.0}),
            ("untrained", "GLGLGL", {**synthetic.GUESSING, "control": 1.0}))]))
    verdicts = findings.verdicts(measures.of_study(a_study))
    (key,) = verdicts["full"]
    for of_group in verdicts.values():
        assert not of_group[key].has_control and not of_group[key].control_failed
    assert verdicts["full"][key].conclusive("beyond")
    assert not verdicts["untrained"][key].conclusive("beyond")
    text = markdown.text(contents.report(a_study))
    assert "or reading no key gets them all" in text and "Not learnt" not in text


def test_unknown_floors_say_nothing_about_lookup(read):
    results = counting_study()
    for arm in results["arms"]:
        for name in ("strategies", "blind"):
            del arm["recall"]["probes"][0][name]
    text = markdown.text(contents.report(read(results))).replace("\\", "")
    assert text.count("nothing about lookup can be concluded.") == 2  # at the top, and how to read
    assert "Nothing is shown about looking up keys" in text and "keys are looked up" not in text


def test_one_seed_has_no_verdict(read):
    results = counting_study()
    results["arms"] = [arm for arm in results["arms"] if arm["seed"] == 1]
    groups = measures.of_study(read(results))
    assert findings.comparisons(groups) == 0
    for of_group in findings.verdicts(groups).values():
        for of_probe in of_group.values():
            assert set(of_probe.bands.values()) == {findings.NOT_TESTED} and not of_probe.leak


def test_difficulties_are_told_apart(read):
    results = synthetic.study([
        synthetic.arm("full", seed, "GGGGGG", synthetic.ALL, probes=[
            {"pairs": 8}, {"pairs": 32}, {"task": "chains", "hops": 2, "pairs": 4}])
        for seed in (1, 2, 3)])
    a_study = read(results)
    assert [key.name for key in a_study.probe_keys] == [
        "associative_recall, 8 pairs", "associative_recall, 32 pairs", "chains"]
    document = contents.report(a_study)
    assert {"recall_associative_recall_256_8_pairs", "recall_associative_recall_256_32_pairs",
            "recall_chains_256"} <= {plot.name for plot in document.plots()}
    assert "associative_recall, 8 pairs at length 256" in markdown.text(document).replace("\\", "")
