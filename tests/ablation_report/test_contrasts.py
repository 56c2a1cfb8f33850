"""Differences from the reference group: pairing, verdicts, and what the report says of them."""

import pytest
import synthetic

from ablation_report import contents, contrasts, findings, markdown, measures


def losses(group, layout, by_seed):
    """Arms with one validation loss each."""
    return [{"name": f"{group}-{seed}", "group": group, "seed": seed, "state": "finished",
             "layout": layout, "validation_curve": [{"step": 1, "loss": loss}]}
            for seed, loss in by_seed.items()]


def compared(a_study):
    groups = measures.of_study(a_study)
    return contrasts.of_study(a_study, groups, findings.reference_probes(a_study).values())


def report(a_study):
    return markdown.text(contents.report(a_study)).replace("\\", "")


# Seeds differ by a hundred times as much as the groups do, seed by seed.
SMALL = {1: 2.4008, 2: 2.4510, 3: 2.3500}
LARGE = {1: 2.4008 + 0.0077, 2: 2.4510 + 0.0082, 3: 2.3500 + 0.0087}


def test_a_small_difference_in_every_pair_is_a_difference(read):
    """0.0082 with a deviation of 0.0005 over three pairs, where intervals of the means overlap."""
    a_study = read(synthetic.study([*losses("full", "GG", SMALL), *losses("mix", "GL", LARGE)]))
    (test,) = compared(a_study).tests
    assert test.difference.mean == pytest.approx(0.0082)
    assert test.p == pytest.approx(0.001237, rel=1e-3) and test.verdict == contrasts.HIGHER
    full, mix = measures.of_study(a_study)
    assert mix.validation_loss.low < full.validation_loss.mean
    text = report(a_study)
    assert "| validation loss | mix | 3 | +0.0082 [+0.0070, +0.0094] | 0.001 | higher |" in text
    assert "Against full, validation loss is higher in mix." in text


def test_different_sets_of_seeds_are_compared_on_the_common_ones(read):
    """Three seeds against four: the means stand in the other order than every pair does."""
    arms = [*losses("full", "GG", {**SMALL, 4: 2.9}), *losses("mix", "GL", LARGE)]
    a_study = read(synthetic.study(arms))
    (test,) = compared(a_study).tests
    full, mix = measures.of_study(a_study)
    assert mix.validation_loss.mean < full.validation_loss.mean
    assert test.difference.mean == pytest.approx(0.0082) and test.verdict == contrasts.HIGHER
    text = report(a_study)
    assert "| mix | 3 (common: 1, 2 and 3) |" in text and "compared on the common ones" in text


def test_two_common_seeds_are_no_test(read):
    arms = [*losses("full", "GG", SMALL), *losses("mix", "GL", {1: 2.5, 2: 2.6})]
    (test,) = compared(read(synthetic.study(arms))).tests
    assert (test.verdict, test.p, test.difference.low) == (contrasts.NOT_TESTED, None, None)


def test_no_difference_comes_with_what_could_have_been_seen(read):
    arms = [*losses("full", "GG", SMALL),
            *losses("mix", "GL", {1: 2.41, 2: 2.44, 3: 2.352})]
    a_study = read(synthetic.study(arms))
    (test,) = compared(a_study).tests
    assert test.verdict == contrasts.NO_DIFFERENCE
    assert test.smallest == pytest.approx(5.6535 * test.difference.parts[0].variance**0.5, rel=1e-3)
    assert (f"shows no difference in mix, where one of {test.smallest:.4f} nats per token could have "
            "been seen") in report(a_study)


def test_where_nothing_varied_nothing_is_known_of_what_could_have_been_seen(read):
    arms = [*losses("full", "GG", {1: 2.0, 2: 2.0, 3: 2.0}), *losses("mix", "GL", {1: 2.0, 2: 2.0, 3: 2.0})]
    a_study = read(synthetic.study(arms))
    (test,) = compared(a_study).tests
    assert test.smallest is None
    assert "where nothing varied, so that it is not known what could have been seen" in report(a_study)


def three(**others):
    return synthetic.study([*losses("local", "LL", SMALL), *losses("full", "GG", SMALL),
                            *losses("mix", "GL", LARGE)], **others)


def test_the_reference(read):
    assert compared(read(three())).reference == "full"
    assert compared(read(three(contrast="mix"))).reference == "mix"
    without = synthetic.study([*losses("b", "LL", SMALL), *losses("a", "GL", LARGE)])
    assert compared(read(without)).reference == "b"
    lost = three(contrast="gone")
    lost["arms"].append(synthetic.failed("gone", 1, "LG"))
    assert compared(read(lost)).reference is None and "Differences from" not in report(read(lost))


def test_the_family_is_of_headline_quantities(read):
    """Validation loss of two groups, and one probe at one of its two lengths."""
    arms = [synthetic.arm(group, seed, layout, synthetic.ALL, probes=[{}, {"length": 128}])
            for group, layout in (("full", "GG"), ("a", "GL"), ("b", "LG")) for seed in (1, 2, 3)]
    result = compared(read(synthetic.study(arms)))
    assert result.family == len(result.tests) == 4
    assert {(test.quantity, test.group) for test in result.tests} == {
        (quantity, group) for group in "ab" for quantity in (
            "validation loss", "recall beyond the reach in associative_recall at length 256")}


def test_recall_is_paired_by_item(read):
    """Items are all easy or all hard, the same for both groups: the difference hardly varies."""
    arms = []
    for seed in (1, 2, 3):
        for group, layout in (("full", "GG"), ("mix", "GL")):
            exact = [1] * 30 + [0] * 30
            if group == "mix":  # one more hard item in each seed, another one each time
                exact[30 + seed] = 1
            arms.append({"name": f"{group}-{seed}", "group": group, "seed": seed,
                         "state": "finished", "layout": layout, "recall": {"probes": [{
                             "task": "copying", "length": 256, "chance": 0.1,
                             "item": list(range(60)), "distance": [200] * 60,
                             "log_likelihood": [-1.0] * 60, "exact": exact}]}})
    a_study = read(synthetic.study(arms))
    (test,) = compared(a_study).tests
    full, _ = measures.of_study(a_study)
    (figures,) = full.probes.values()
    of_full, half = figures.bands["beyond"].exact, test.difference.half_width(0.05)
    assert test.difference.mean == pytest.approx(1 / 60)
    assert half < (of_full.high - of_full.low) / 6


def test_validation_loss_is_the_mean_of_the_last_evaluations(read):
    def mean_of(count):
        arms = losses("a", "GG", {1: 0.0})
        arms[0]["validation_curve"] = [{"step": step, "loss": float(step)} for step in range(count)]
        (arm,) = read(synthetic.study(arms)).arms
        return measures.validation_loss(arm)
    assert [mean_of(count) for count in (1, 5, 6, 19, 20)] == [0, 4, 4, 17, 17]
