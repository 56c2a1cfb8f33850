"""Simulated studies: how often intervals cover the truth and tests find what is there or is not."""

import math

import numpy as np
import pytest
import synthetic
from scipy import special

from ablation_report import contrasts, findings, intervals, measures, significance

STUDIES = 8000
SEEDS = (3, 5, 8)
# 93 to 97 %, give or take two standard deviations of a count of 8,000 studies. What needs them: three
# seeds without any effect of their own, and three that differ far more than items do.
LOW, HIGH = 0.925, 0.975


def covered(errors, variances, freedom):
    return float((np.abs(errors) <= intervals.half_width(variances, freedom, 0.05)).mean())


@pytest.mark.parametrize("seeds", SEEDS)
def test_intervals_of_losses_cover_the_truth(seeds):
    random = np.random.default_rng(seeds)
    losses = random.normal(0, 0.01, (STUDIES, seeds))
    figures = [intervals.over_seeds(of_study) for of_study in losses]
    share = np.mean([figure.low <= 0 <= figure.high for figure in figures])
    print(f"losses, {seeds} seeds: {share:.3f}")
    assert LOW <= share <= HIGH


def answers(random, studies, seeds, count, spread, difficulty):
    """Hits [studies, seeds, items] with probabilities 1/2 + seed + item, of seeds with a deviation of
    `spread` and items within `difficulty` of 0: the truth is 1/2."""
    rates = 0.5 + random.normal(0, spread, (studies, seeds, 1)) + \
        random.uniform(-difficulty, difficulty, (studies, 1, count))
    return (random.random((studies, seeds, count)) < rates).astype(float)


# Without seeds' and items' own effects, each on its own, and both.
@pytest.mark.parametrize("spread, difficulty", [(0, 0.45), (0.03, 0.4), (0.08, 0.3), (0.12, 0)])
@pytest.mark.parametrize("seeds", SEEDS)
def test_intervals_of_recall_cover_the_truth(seeds, spread, difficulty):
    random = np.random.default_rng([seeds, int(100 * spread)])
    hits = answers(random, STUDIES, seeds, 80, spread, difficulty)
    ratios, values = intervals.influence(hits, np.ones_like(hits))
    share = covered(ratios.mean(axis=1) - 0.5, intervals.crossed_parts(values),
                    intervals.crossed_freedom(seeds, 80))
    print(f"recall, {seeds} seeds ± {spread}, items within ± {difficulty}: {share:.3f}")
    assert LOW <= share <= HIGH


@pytest.mark.parametrize("seeds", SEEDS)
def test_intervals_of_items_that_weigh_differently(seeds):
    """Several answers to an item, which are right or wrong together: a ratio of sums."""
    random = np.random.default_rng(seeds)
    counts = np.broadcast_to(random.integers(1, 7, (STUDIES, 1, 80)), (STUDIES, seeds, 80))
    hits = counts * answers(random, STUDIES, seeds, 80, 0.03, 0.4)
    ratios, values = intervals.influence(hits, counts)
    share = covered(ratios.mean(axis=1) - 0.5, intervals.crossed_parts(values),
                    intervals.crossed_freedom(seeds, 80))
    print(f"recall of items of 1 to 6 answers, {seeds} seeds: {share:.3f}")
    assert LOW <= share <= HIGH


def p_of_paired_losses(losses):
    """[studies, groups - 1] against the first of groups [studies, groups, seeds]."""
    differences = losses[:, 1:] - losses[:, :1]
    seeds = losses.shape[-1]
    t = differences.mean(axis=-1) / (differences.std(axis=-1, ddof=1) / math.sqrt(seeds))
    return 2 * special.stdtr(seeds - 1, -np.abs(t))


@pytest.mark.parametrize("seeds", (3, 5))
@pytest.mark.parametrize("groups", range(2, 9))
def test_equal_groups_are_rarely_called_different(groups, seeds):
    """By validation loss, of seeds with an effect of their own that all groups share."""
    random = np.random.default_rng([groups, seeds])
    losses = random.normal(0, 0.01, (STUDIES, 1, seeds)) + \
        random.normal(0, 0.01, (STUDIES, groups, seeds))
    wrong = np.mean([min(significance.holm(p)) < significance.ERROR
                     for p in p_of_paired_losses(losses)])
    print(f"{groups} equal groups, {seeds} seeds: called different in {wrong:.3f} of studies")
    # 5 % and three standard deviations of a count of 8,000.
    assert wrong <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / STUDIES)


def small_study(random, groups, seeds, shift=0.0, recall=True):
    """Groups alike but for `shift` of the last one's loss; without what tests do not look at."""
    of_seeds = random.normal(0, 0.01, seeds)
    ease = random.uniform(-0.3, 0.3, 30)
    arms = []
    for group in range(groups):
        for seed in range(seeds):
            loss = 3 + of_seeds[seed] + random.normal(0, 0.005) + shift * (group == groups - 1)
            rates = 0.5 + random.uniform(-0.1, 0.1) + ease
            probe = {"task": "copying", "length": 128, "chance": 0.1, "item": list(range(30)),
                     "distance": [120] * 30, "log_likelihood": [-1.0] * 30,
                     "exact": (random.random(30) < rates).astype(int).tolist()}
            arms.append({"name": f"g{group}-{seed}", "group": f"g{group}", "seed": seed,
                         "state": "finished", "layout": "GL",
                         "validation_curve": [{"step": 1, "loss": loss}],
                         "recall": {"probes": [probe]} if recall else None})
    return synthetic.study(arms)


def made_tests(a_study):
    groups = measures.of_study(a_study)
    return contrasts.of_study(a_study, groups, findings.reference_probes(a_study).values()).tests


@pytest.mark.parametrize("groups, seeds", [(2, 3), (4, 3), (4, 5), (8, 5)])
def test_whole_studies_of_equal_groups(read, groups, seeds):
    """Loss and recall in one family, from the results to the verdict."""
    random, studies = np.random.default_rng([groups, seeds]), 100
    wrong = 0
    for _ in range(studies):
        found = made_tests(read(small_study(random, groups, seeds)))
        assert len(found) == 2 * (groups - 1)
        wrong += any(test.verdict in (contrasts.LOWER, contrasts.HIGHER) for test in found)
    print(f"{groups} equal groups, {seeds} seeds, loss and recall: {wrong} of {studies} studies")
    assert significance.binomial_tail(wrong, studies, 0.05) > 0.001


def test_power(read):
    """Three groups of five seeds, one of them higher by four deviations of paired differences."""
    random, studies = np.random.default_rng(11), 150
    shift = 4 * 0.005 * math.sqrt(2)
    found = 0
    for _ in range(studies):
        tests = made_tests(read(small_study(random, 3, 5, shift, recall=False)))
        found += {test.group: test.verdict for test in tests}["g2"] == contrasts.HIGHER
    print(f"a difference of 4 deviations, 5 seeds, 2 tests: found in {found} of {studies} studies")
    assert found > 0.95 * studies


@pytest.mark.parametrize("alike", [False, True])
def test_leaks_are_rarely_seen_where_there_are_none(read, alike):
    """Groups of local layers at their floor; `alike`: all seeds of a group guess the same."""
    random = np.random.default_rng(alike)
    studies, alarms = 60, 0
    for _ in range(studies):
        arms = []
        newest = (random.random(60) < 0.4).astype(int).tolist()
        for group in range(2):
            same = (random.random(60) < 0.4).astype(int).tolist()
            for seed in range(3):
                own = (random.random(60) < 0.4).astype(int).tolist()
                probe = {"task": "copying", "length": 256, "chance": 0.1, "item": list(range(60)),
                         "distance": [200] * 60, "log_likelihood": [-1.0] * 60,
                         "exact": same if alike else own, "strategies": ["newest"],
                         "blind": newest}
                arms.append({"name": f"g{group}-{seed}", "group": f"g{group}", "seed": seed,
                             "state": "finished", "layout": "LLLLLL",
                             "window_size": synthetic.WINDOW, "recall": {"probes": [probe]}})
        verdicts = findings.verdicts(measures.of_study(read(synthetic.study(arms))))
        alarms += any(of_probe.leak for of_group in verdicts.values()
                      for of_probe in of_group.values())
    print(f"LEAK without a leak, seeds guess {'alike' if alike else 'apart'}: {alarms} of {studies}")
    assert significance.binomial_tail(alarms, studies, 0.05) > 0.001
