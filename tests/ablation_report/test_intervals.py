"""Means, intervals and tests against hand counts."""

import fractions
import math

import numpy as np
import pytest
from scipy import stats

from ablation_report import intervals, items, significance


def test_the_t_interval_of_three_seeds():
    figure = intervals.over_seeds([1.0, 2.0, 6.0])
    half = 4.30265273 * math.sqrt(7) / math.sqrt(3)  # variance (4 + 1 + 9) / 2, t of 2 degrees
    assert (figure.mean, figure.seeds) == (3.0, 3)
    assert (figure.low, figure.high) == pytest.approx((3 - half, 3 + half))


def test_fewer_than_three_seeds_have_no_interval_and_none_has_no_figure():
    for values in ([1.5], [1.0, 2.0]):
        figure = intervals.over_seeds(values)
        assert (figure.low, figure.high, figure.tested) == (None, None, False)
    assert intervals.over_seeds([math.nan, None]) is None


def test_what_is_not_finite_is_left_out():
    figure = intervals.over_seeds([1.0, math.nan, 3.0, math.inf])
    assert (figure.mean, figure.low, figure.seeds) == (2.0, None, 2)


def test_p_values_are_those_of_the_t_test():
    values = [0.3, 0.5, 0.2, 0.4]
    expected = stats.ttest_1samp(values, 0)
    figure = intervals.over_seeds(values)
    assert figure.p_two_sided() == pytest.approx(expected.pvalue, rel=1e-6)
    assert figure.p_above() == pytest.approx(expected.pvalue / 2, rel=1e-6)
    below = intervals.over_seeds([-value for value in values])
    assert below.p_above() == pytest.approx(1 - expected.pvalue / 2, rel=1e-6)
    assert intervals.over_seeds([-1.0, 0.0, 1.0]).p_two_sided() == 1


def test_an_interval_and_a_p_value_agree_with_two_parts():
    parts = (intervals.Part(0.02, 2), intervals.Part(0.01, 50))
    figure = intervals.Estimate(0.0, 3, parts, 51)
    at_its_border = intervals.Estimate(figure.high, 3, parts, 51)
    assert at_its_border.p_two_sided() == pytest.approx(0.05, rel=1e-6)


def test_a_mean_of_ratios_over_seeds():
    # 3 of 4, 1 of 8 and 2 of 4: the mean of the seeds' shares, not 6 of 16.
    totals, counts = np.array([[1, 2], [0, 1], [2, 0]]), np.array([[2, 2], [4, 4], [2, 2]])
    figure = intervals.over_items(totals.astype(float), counts.astype(float), share=True)
    assert figure.mean == pytest.approx((3 / 4 + 1 / 8 + 1 / 2) / 3)
    assert (figure.seeds, figure.items) == (3, 2)


def test_seeds_and_items_without_a_count_are_left_out():
    counts = np.ones((4, 5))
    counts[3] = counts[:, 4] = 0
    figure = intervals.over_items(counts * [1, 1, 0, 0, 1], counts)
    assert (figure.mean, figure.seeds, figure.items) == (0.5, 3, 4)
    assert intervals.over_items(np.zeros((3, 2)), np.zeros((3, 2))) is None


def test_parts_of_seeds_and_items_by_hand():
    # Two-way table without interaction: seeds -1, 0, 1 and items -2, 0, 2. Mean squares: of seeds
    # 3 x 2 / 2 = 3, of items 3 x 8 / 2 = 12, of the rest 0.
    values = np.add.outer([-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0])
    assert intervals.crossed_parts(values) == pytest.approx([3 / 9, 12 / 9])


def test_seeds_that_answer_alike_leave_the_variance_of_items():
    answers = np.array([1.0, 0, 0, 1, 1, 0, 1, 1])
    alike = intervals.over_items(np.tile(answers, (5, 1)), np.ones((5, 8)))
    assert [part.variance for part in alike.parts] == pytest.approx([0, answers.var(ddof=1) / 8])


def test_all_right_is_not_certain():
    """40 items that all seeds have right: Clopper and Pearson's lower end for 40 of 40."""
    ones = np.ones((3, 40))
    all_right, all_wrong = (intervals.over_items(hits, ones, share=True)
                            for hits in (ones, 0 * ones))
    assert (all_right.low, all_right.high) == (pytest.approx(0.025**(1 / 40)), 1.0)
    assert (all_wrong.low, all_wrong.high) == (0.0, pytest.approx(1 - 0.025**(1 / 40)))


def test_intervals_of_shares_end_at_0_and_1():
    hits = np.ones((3, 12))
    hits[0, 0] = 0
    figure = intervals.over_items(hits, np.ones((3, 12)), share=True)
    assert figure.low < figure.mean < figure.high == 1.0


def test_a_handful_of_items_is_no_difference():
    """All right against all wrong has no variance; of three items it is luck of 1 in 4."""
    few, many = (intervals.difference_over_items((np.ones((3, size)), np.ones((3, size))),
                                                 (np.zeros((3, size)), np.ones((3, size))))
                 for size in (3, 40))
    assert few.p_two_sided() == 0.25 and many.p_two_sided() < 1e-9


def test_items_are_paired_by_number():
    runs = [(np.array([0, 1, 3]), np.array([10.0, 11, 13])),
            (np.array([1, 2, 3]), np.array([21.0, 22, 23]))]
    (values,), left_out = items.shared(runs)
    assert values.tolist() == [[11, 13], [21, 23]] and left_out == 2


def test_holm_by_hand():
    # Sorted: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1, none less than the one before.
    assert significance.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert significance.holm([0.6, 0.7]) == [1.0, 1.0] and significance.holm([]) == []


def test_the_smallest_difference_is_found_in_four_of_five_studies():
    """Simulated: five seeds, two tests, a true difference of that size."""
    random = np.random.default_rng(3)
    smallest = significance.smallest_difference(
        intervals.Estimate(0.0, 5, (intervals.Part(1 / 5, 4),)), 2)
    studies = smallest + random.normal(size=(20000, 5))
    found = (stats.ttest_1samp(studies, 0, axis=1).pvalue < 0.05 / 2).mean()
    print(f"smallest difference at 5 seeds, 2 tests: {smallest:.2f} deviations, found in {found:.3f}")
    assert abs(found - 0.8) < 0.01


@pytest.mark.parametrize("hits, trials, chance", [(2, 3, 1 / 2), (1, 1, 1 / 32), (5, 40, 1 / 32),
                                                  (40, 40, 1 / 2), (0, 7, 1 / 3)])
def test_binomial_tail(hits, trials, chance):
    p = fractions.Fraction(chance)
    exact = sum(math.comb(trials, k) * p**k * (1 - p)**(trials - k)
                for k in range(hits, trials + 1))
    assert significance.binomial_tail(hits, trials, chance) == pytest.approx(float(exact), rel=1e-9)


def test_binomial_tail_at_the_limits():
    assert significance.binomial_tail(1, 10, 0.0) == 0.0
    assert significance.binomial_tail(10, 10, 1.0) == 1.0
    assert significance.binomial_tail(30000, 100000, 0.1) == 0.0  # far below what a float can hold
