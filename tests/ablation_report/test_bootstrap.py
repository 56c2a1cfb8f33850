"""Means and intervals against hand counts and simulations."""

import fractions
import math

import numpy as np
import pytest

from ablation_report import bootstrap


def test_a_mean_over_three_seeds_and_its_interval():
    (figure,) = bootstrap.over_seeds("x", [[1.0], [2.0], [6.0]])
    # The lowest of 27 equally likely draws is 1, 1, 1: more than 2.5 % of them.
    assert (figure.mean, figure.low, figure.high, figure.seeds) == (3.0, 1.0, 6.0, 3)


def test_one_seed_has_no_interval_and_none_has_no_figure():
    one, none = bootstrap.over_seeds("x", [[1.5, math.nan], [math.nan, math.nan]])
    assert (one.mean, one.low, one.high, one.seeds) == (1.5, None, None, 1)
    assert none is None


def test_what_is_not_finite_is_left_out():
    (figure,) = bootstrap.over_seeds("x", [[1.0], [math.nan], [3.0], [math.inf]])
    assert (figure.mean, figure.low, figure.high, figure.seeds) == (2.0, 1.0, 3.0, 2)


def test_a_mean_of_ratios_over_seeds():
    # 3 of 4 and 1 of 8: the mean of the seeds' shares, not 4 of 12. The second quantity has no
    # count in one seed, the third in none.
    first = ([[1, 0, 0], [2, 3, 0]], [[2, 0, 0], [2, 4, 0]])
    second = ([[0, 0, 0], [1, 0, 0]], [[4, 0, 0], [4, 0, 0]])
    mixed, of_one, none = bootstrap.over_items("x", [first, second])
    assert mixed.mean == pytest.approx((3 / 4 + 1 / 8) / 2)
    assert (of_one.mean, of_one.seeds) == (0.75, 1)
    assert none is None
    assert mixed.low < mixed.mean < mixed.high


def test_seeds_are_resampled_and_not_items_only():
    seeds = [([[value]] * 50, [[1]] * 50) for value in (0, 0.5, 1)]
    (figure,) = bootstrap.over_items("x", seeds)
    assert (figure.low, figure.high) == (0.0, 1.0)


@pytest.mark.parametrize("answers", [1, 5])
def test_intervals_cover_the_truth(answers):
    """Items whose answers are all right or all wrong: resampling answers would cover far less."""
    truth, items, repeats = 0.3, 40, 200
    random = np.random.default_rng(answers)
    covered = 0
    for repeat in range(repeats):
        seeds = [(answers * (random.random((items, 1)) < truth), np.full((items, 1), answers))
                 for _ in range(3)]
        (figure,) = bootstrap.over_items(f"{repeat}", seeds)
        covered += figure.low <= truth <= figure.high
    # Drawing seeds too makes intervals of equal seeds somewhat too wide.
    assert 0.92 * repeats <= covered <= repeats


def test_intervals_are_not_needlessly_wide():
    random = np.random.default_rng(3)
    seeds = [((random.random((400, 1)) < 0.3), np.ones((400, 1))) for _ in range(3)]
    (figure,) = bootstrap.over_items("x", seeds)
    exact = 2 * 1.96 * math.sqrt(0.3 * 0.7 / 1200)
    assert exact < figure.high - figure.low < 2 * exact


def test_draws_depend_on_the_name_only():
    random = np.random.default_rng(4)
    seeds = [(random.random((30, 1)), np.ones((30, 1))) for _ in range(3)]
    first = bootstrap.over_items("a", seeds)
    other = bootstrap.over_items("b", seeds)
    assert bootstrap.over_items("a", seeds) == first
    assert other[0].mean == first[0].mean and other[0].low != first[0].low


def test_many_items_are_resampled_in_parts(monkeypatch):
    seeds = [(np.arange(20.0)[:, None], np.ones((20, 1)))]
    whole = bootstrap.over_items("x", seeds)
    monkeypatch.setattr(bootstrap, "_ROWS_AT_ONCE", 37)
    assert bootstrap.over_items("x", seeds) == whole


@pytest.mark.parametrize("hits, trials, chance", [(2, 3, 1 / 2), (1, 1, 1 / 32), (5, 40, 1 / 32),
                                                  (40, 40, 1 / 2), (0, 7, 1 / 3)])
def test_binomial_tail(hits, trials, chance):
    p = fractions.Fraction(chance)
    exact = sum(math.comb(trials, k) * p**k * (1 - p)**(trials - k)
                for k in range(hits, trials + 1))
    assert bootstrap.binomial_tail(hits, trials, chance) == pytest.approx(float(exact), rel=1e-9)


def test_binomial_tail_at_the_limits():
    assert bootstrap.binomial_tail(1, 10, 0.0) == 0.0
    assert bootstrap.binomial_tail(10, 10, 1.0) == 1.0
    assert bootstrap.binomial_tail(30000, 100000, 0.1) == 0.0  # far below what a float can hold


def test_coverage_of_the_range_of_seeds():
    """Counted over all ways in which seeds fall below or above the median."""
    for seeds in (2, 3, 5):
        ways = [bin(way).count("1") for way in range(2**seeds)]
        inside = sum(0 < below < seeds for below in ways) / len(ways)
        assert bootstrap.coverage_of_range(seeds) == inside
