"""The fit of a ladder, compute multipliers, and the section of the report."""

import dataclasses
import json
import math

import numpy as np
import pytest
import synthetic
import synthetic_ladder
from conftest import run

from ablation_report import ladder_fit, ladder_frontier, ladder_points, ladder_view, shapes


@pytest.fixture
def ladder(read):
    """ladder_view.Ladder of a synthetic ladder with those options."""
    return lambda **options: ladder_view.Ladder(read(synthetic_ladder.study(**options)))


def test_the_law_is_recovered_without_noise(ladder):
    known = ladder(noise=0, seeds=1)
    law = ladder_fit.fit(known.points, replicates=2)
    constants = law.constants()
    assert constants["E"][0] == pytest.approx(synthetic_ladder.E, rel=2e-3)
    assert constants["alpha"][0] == pytest.approx(synthetic_ladder.ALPHA, rel=2e-3)
    assert constants["beta"][0] == pytest.approx(synthetic_ladder.BETA, rel=2e-3)
    for layout, (a, b) in synthetic_ladder.LAYOUTS.items():
        assert constants["A", layout][0] == pytest.approx(a, rel=0.02)
        assert constants["B", layout][0] == pytest.approx(b, rel=0.02)
        assert law.misfit[layout] < 1e-5
    assert law.losses("half", 1e5, 2e6)[0, 0] == pytest.approx(synthetic_ladder.loss("half", 1e5, 2e6), rel=1e-4)


def test_one_bad_run_bends_the_fit_little(read):
    results = synthetic_ladder.study(noise=0, seeds=1)
    results["arms"][4]["validation_curve"][0]["loss"] *= 1.2
    points = ladder_points.of_study(read(results))
    law = ladder_fit.fit(points, replicates=2)
    assert law.losses("twin", 2e5, 4e6)[0, 0] == pytest.approx(synthetic_ladder.loss("twin", 2e5, 4e6), rel=1e-3)


def test_multipliers_are_recovered_without_noise(ladder):
    known = ladder(noise=0, seeds=1)
    known.law = ladder_fit.fit(known.points, replicates=2)
    assert known.reference == "full"
    for layout in ("half", "twin"):
        truth = synthetic_ladder.multiplier(layout, known.budget)
        assert known.multiplier(layout)[0] == pytest.approx(truth, rel=0.02)
    assert synthetic_ladder.multiplier("half", known.budget) > 1.3
    assert np.all(known.multiplier("full") == 1)


@pytest.mark.parametrize("seeds", [1, 3])
def test_intervals_cover_the_true_multiplier(ladder, seeds):
    """24 of them: were each right in 95 % of studies, 20 or more of them would be in 99 %."""
    covered, widths = [], []
    for number in range(12):
        known = ladder(noise=0.003, seeds=seeds, number=number)
        known.law = ladder_fit.fit(known.points, replicates=60)
        for layout in ("half", "twin"):
            _, low, high = ladder_fit.interval(known.multiplier(layout))
            covered.append(low <= synthetic_ladder.multiplier(layout, known.budget) <= high)
            widths.append(math.log(high / low))
    assert sum(covered) >= 20
    assert 0.05 < np.median(widths) < 0.8, "as wide as the noise asks for, and no wider"


def test_equal_layouts_have_a_multiplier_around_one(read):
    results = synthetic_ladder.study(noise=0.002)
    for arm in results["arms"]:
        arm["training_flops_per_token"] = 6.0 * arm["ladder"]["parameters"]
        arm["training_flops"] = arm["training_flops_per_token"] * arm["tokens"]
    known = ladder_view.Ladder(read(results))
    _, low, high = ladder_fit.interval(known.multiplier("twin"))
    assert low < 1 < high and high / low < 1.6


def test_the_best_rate_is_chosen_and_an_edge_is_told(read, ladder):
    points = ladder(rates=synthetic_ladder.RATES, noise=0.001).points
    assert {point.learning_rate for point in points} == {synthetic_ladder.BEST_RATE}
    assert not any(point.at_edge for point in points)
    assert all(point.rates == synthetic_ladder.RATES for point in points)
    points = ladder(rates=synthetic_ladder.RATES[1:], noise=0.001).points
    assert all(point.at_edge for point in points)
    results = synthetic_ladder.study(rates=synthetic_ladder.RATES, noise=0)
    lost = results["arms"][0]["ladder"]
    for arm in results["arms"]:  # the best rate of one point loses the seed in which it is best
        if arm["ladder"] == {**lost, "learning_rate": synthetic_ladder.BEST_RATE}:
            if arm["seed"] == 1:
                arm["state"] = "failed"
    first = ladder_points.of_study(read(results))[0]
    assert first.learning_rate == synthetic_ladder.BEST_RATE and sorted(first.losses) == [2, 3]


def test_what_does_not_suffice_for_a_fit_is_said(ladder):
    assert "two sizes" in ladder(sizes=("s",)).lacking
    assert "two numbers of tokens" in ladder(tokens_per_parameter=(10,)).lacking
    few = ladder(layouts=("full",), sizes=("xs", "s"), tokens_per_parameter=(10, 20))
    assert "6 points or more; there are 4" in few.lacking
    assert ladder().lacking is None


def test_views_rank_layouts_at_equal_flops_time_and_cache(ladder):
    known = ladder(noise=0.001)
    known.law = ladder_fit.fit(known.points, replicates=40)
    views = {view.title: view for view in known.views()}
    assert list(views) == ["equal FLOPs", "equal time", "equal cache"]
    for view in views.values():
        assert sum(view.chances.values()) == pytest.approx(1)
        assert view.chances["half"] > 0.9
    flops, cache = views["equal FLOPs"].optima, views["equal cache"].optima
    assert cache["full"].losses[0] > flops["full"].losses[0] and cache["full"].parameters[0] < flops["full"].parameters[0]
    least = views["equal cache"].budget[0]
    for layout, best in cache.items():
        assert math.exp(known.cache_bytes[layout].at(np.log(best.parameters[0]))) <= least * 1.001
    # Seconds are in proportion to FLOPs here, so that the two views agree.
    for layout, best in views["equal time"].optima.items():
        assert best.losses[0] == pytest.approx(flops[layout].losses[0], rel=1e-3)


def test_time_counts_only_where_the_bench_measured_all(read):
    results = synthetic_ladder.study(noise=0.001, seeds=1)
    results["ladder"]["cost"]["s"] = None
    assert ladder_view.Ladder(read(results)).seconds_per_token is None


def test_a_curve_goes_on_beyond_its_ends():
    curve = ladder_frontier.curve([(100, 1e4), (10, 100), (1000, 1e5)])
    expected = {1: 1.0, 10: 1e2, 31.6228: 1e3, 100: 1e4, 1e4: 1e6}
    for parameters, value in expected.items():
        assert math.exp(curve.at(math.log(parameters))) == pytest.approx(value, rel=1e-4)


def test_the_largest_rung_has_a_group_for_each_layout(read):
    results = synthetic_ladder.study(rates=synthetic_ladder.RATES, noise=0.001)
    for arm in results["arms"]:
        if arm["ladder"]["size"] == "m" and arm["ladder"]["tokens_per_parameter"] == 40 and arm["ladder"]["layout"] == "twin":
            arm["state"] = "failed"
    rung = ladder_points.largest_rung(read(results))
    assert [group.name for group in rung.groups] == list(synthetic_ladder.LAYOUTS)
    assert {(arm.ladder.size, arm.ladder.tokens_per_parameter, arm.ladder.learning_rate) for arm in rung.arms} == {
        ("m", 20, synthetic_ladder.BEST_RATE)}
    plain = read(synthetic.known_study())
    assert ladder_points.largest_rung(plain) is plain and ladder_points.by_layout(plain) is plain


def test_a_study_is_a_ladder_as_a_whole_or_not_at_all(read):
    results = synthetic_ladder.study(seeds=1)
    del results["arms"][3]["ladder"]
    with pytest.raises(shapes.InvalidInput, match="each of its arms stands on it, or none"):
        read(results)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a ladder with an arm that failed, as Markdown."""
    folder = tmp_path_factory.mktemp("ladder")
    results = synthetic_ladder.study(rates=synthetic_ladder.RATES[:2], noise=0.002, seeds=2)
    results["arms"][0]["state"] = "failed"
    (folder / "results.json").write_text(json.dumps(results))
    run("ablation_report", folder / "results.json", "--output", folder / "report")
    return folder / "report"


def test_the_report_has_a_section_of_the_ladder(report):
    text = (report / "report.md").read_text()
    section = text[text.index("## Ladder"):text.index("## Groups")]
    assert (report / "plots/ladder.svg").exists()
    for words in ("Compute multipliers", "Constants of the law", "equal FLOPs", "equal time", "equal cache", "1 of 108 arms",
                  "27 of 27 points the best learning rate is the lowest or the highest", "FLOPs of full",
                  "less compute than full is needed by half", "fitted here; the interval does not cover"):
        assert words in section, words
    assert section.count("at the edge") == 27
    rest = text[text.index("## Groups"):text.index("## Arms")]
    assert "| half |" in rest and "half\\_m" not in rest, "other sections have a group for each layout"
    assert "half\\_m\\_40-per-parameter\\_0.002-lr\\_seed-2" in text[text.index("## Arms"):]


def test_a_ladder_without_a_law_shows_its_runs(read):
    from ablation_report import contents, markdown
    results = synthetic_ladder.study(seeds=1, sizes=("xs",))
    text = markdown.text(contents.report(read(results)))
    assert "The law cannot be fitted" in text and "Runs at the best learning rate" in text
    assert "Compute multipliers" not in text
    nothing = synthetic_ladder.study(seeds=1)
    for arm in nothing["arms"]:
        arm["state"] = "unfinished"
    assert "No arm of the ladder has finished." in markdown.text(contents.report(read(nothing)))


def test_fits_are_the_same_each_time(ladder):
    first, second = (ladder_fit.fit(ladder(seeds=seeds).points, replicates=5) for seeds in (2, 2))
    assert np.array_equal(first.values, second.values)
    one = dataclasses.replace(ladder(seeds=2).points[0])
    assert one.loss == pytest.approx(np.mean(list(one.losses.values())))
