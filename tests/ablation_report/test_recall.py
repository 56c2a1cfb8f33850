"""Bands, counting of exact matches, and verdicts."""

import math

import numpy as np
import pytest
import synthetic

from ablation_report import findings, measures, recall, study

BANDS = study.Bands(synthetic.WINDOW, synthetic.LAYERS)


def probe(task, rows, chance=0.1):
    """`rows`: (item, distance, log-likelihood, exact)."""
    item, distance, likelihood, exact = zip(*rows)
    return study.Probe(task, 256, chance, np.array(item), np.array(distance),
                       np.array(likelihood, float), np.array(exact))


def figures(probes, reach=None):
    key = study.ProbeKey(probes[0].task, probes[0].length)
    return recall.figures(key, dict(enumerate(probes)), recall.bins_of(probes, BANDS), BANDS, reach)


def test_borders_of_bands():
    # In one window, just farther, as far as six windows, just farther.
    rows = [(index, distance, 0.0, 1) for index, distance in enumerate((1, 16, 17, 96, 97, 200))]
    units = {band: of_band.units
             for band, of_band in figures([probe("copying", rows)]).bands.items()}
    assert units == {"control": 2, "relay": 2, "beyond": 2}


def test_an_item_counts_when_all_its_answers_in_the_band_are_right():
    rows = [(0, 5, 0, 1), (0, 6, 0, 1), (0, 120, 0, 0), (1, 5, 0, 1), (1, 6, 0, 0), (2, 7, 0, 0)]
    of_items = figures([probe("passkey", rows)]).bands
    assert (of_items["control"].hits, of_items["control"].units) == (1, 3)
    assert (of_items["beyond"].hits, of_items["beyond"].units) == (0, 1)
    of_answers = figures([probe("associative_recall", rows)]).bands
    assert (of_answers["control"].hits, of_answers["control"].units) == (3, 5)
    assert of_answers["control"].exact.mean == pytest.approx(3 / 5)


def test_log_likelihoods_that_are_not_finite_are_left_out_and_counted():
    rows = [(0, 5, -1.0, 1), (0, 6, math.nan, 0), (1, 7, -2.0, 1), (2, 8, -6.0, 0)]
    control = figures([probe("copying", rows)]).bands["control"]
    assert control.log_likelihood.mean == pytest.approx(-3.0)
    assert control.not_finite == 1


def test_a_band_without_answers_has_no_figure():
    beyond = figures([probe("copying", [(0, 5, -1.0, 1)])]).bands["beyond"]
    assert (beyond.exact, beyond.log_likelihood, beyond.units) == (None, None, 0)


def test_bins_lie_within_bands_and_hold_every_distance_once():
    distances = [1, 2, 3, 5, 8, 13, 16, 17, 18, 30, 64, 95, 96, 97, 120, 200, 247]
    rows = [(index, distance, 0.0, 1) for index, distance in enumerate(distances)]
    result = figures([probe("copying", rows)])
    for a_bin, of_bin in result.bins:
        first, last = recall.limits(BANDS)[a_bin.band]
        assert first <= a_bin.first <= a_bin.middle <= a_bin.last <= last
        assert of_bin.units == sum(a_bin.first <= d <= a_bin.last for d in distances) > 0
    assert sum(of_bin.units for _, of_bin in result.bins) == len(distances)
    assert {a_bin.band for a_bin, _ in result.bins} == set(recall.BANDS)


def verdict(read, group, layout, rates, window=synthetic.WINDOW, **options):
    """The verdicts on one group of three seeds in one probe."""
    results = synthetic.study([synthetic.arm(group, seed, layout, rates, window=window,
                                             probes=[options]) for seed in (1, 2, 3)])
    groups = measures.of_study(read(results))
    ((_, result),) = findings.verdicts(groups)[group].items()
    return result


def test_verdicts_on_known_truth(read):
    known = verdict(read, "all", "GLLGLL", synthetic.ALL)
    assert set(known.bands.values()) == {findings.ABOVE} and not known.leak
    known = verdict(read, "local", "LLLLLL", synthetic.RELAYED)
    assert known.bands == {"control": findings.ABOVE, "relay": findings.ABOVE,
                           "beyond": findings.NOT_ABOVE}
    assert not known.leak and not known.control_failed
    known = verdict(read, "guessing", "GGGGGG", synthetic.GUESSING)
    assert known.control_failed and not known.leak and not known.conclusive("relay")


def test_only_groups_of_local_layers_can_leak(read):
    assert verdict(read, "leaking", "LLLLLL", synthetic.ALL).leak
    assert not verdict(read, "leaking", "LLLLLG", synthetic.ALL).leak


def test_a_leak_is_sought_beyond_the_own_reach_of_a_group(read):
    """A window of 4 reaches 24 tokens: what it recalls in the study's relay band leaks. One of 64
    reaches 384, farther than any question."""
    assert verdict(read, "narrow", "LLLLLL", synthetic.RELAYED, window=4).leak
    assert not verdict(read, "wide", "LLLLLL", synthetic.ALL, window=64).leak


@pytest.mark.parametrize("items", [1, 2])
def test_a_handful_of_hits_is_not_above_chance(read, items):
    """They have no variance, whose interval would lie above chance."""
    results = synthetic.study([synthetic.arm("few", seed, "LLLLLL", synthetic.ALL)
                               for seed in (1, 2, 3)])
    for arm in results["arms"]:
        arm["recall"]["probes"] = [{
            "task": "copying", "length": 256, "chance": 1 / 32, "item": list(range(items)),
            "distance": [200] * items, "log_likelihood": [-1.0] * items, "exact": [1] * items}]
    groups = measures.of_study(read(results))
    (result,) = findings.verdicts(groups)["few"].values()
    (measured,) = groups[0].probes.values()
    assert measured.bands["beyond"].exact.low == pytest.approx(0.025**(1 / items))
    assert result.bands["beyond"] == findings.NOT_ABOVE and not result.leak
    assert result.bands["control"] == findings.NOT_MEASURED


def test_one_seed_of_three_is_not_clearly_above_chance(read):
    """Its many hits are beyond what guessing explains, but another seed may as well have none."""
    rates = [0.3, 0.0001, 0.0001]
    arms = [synthetic.arm("a", seed, "LLLLLL", {**synthetic.RELAYED, "beyond": rate})
            for seed, rate in enumerate(rates)]
    groups = measures.of_study(read(synthetic.study(arms)))
    (result,) = findings.verdicts(groups)["a"].values()
    (measured,) = groups[0].probes.values()
    assert measured.bands["beyond"].exact.mean > 2 * synthetic.CHANCE
    assert result.bands["beyond"] == findings.NOT_ABOVE and not result.leak


def test_guessing_is_rarely_taken_for_recall(read):
    """60 groups at chance in all bands: no verdict may be wrong more than once."""
    arms = [synthetic.arm(f"g{index}", seed, "LLLLLL", synthetic.GUESSING)
            for index in range(60) for seed in (1, 2, 3)]
    for arm in arms:
        arm["recall"]["text"] = None
        arm["curve"] = arm["validation_curve"] = []
    verdicts = findings.verdicts(measures.of_study(read(synthetic.study(arms))))
    wrong = [value for of_group in verdicts.values() for of_probe in of_group.values()
             for value in of_probe.bands.values() if value == findings.ABOVE]
    assert len(wrong) <= 1
