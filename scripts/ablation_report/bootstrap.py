"""Means over seeds with bootstrap intervals.

Seeds are drawn with replacement and, where the items behind a mean are known, the items of every
drawn seed too. The draws depend on the name of the quantity only.
"""

import dataclasses
import hashlib
import math

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
_SEED = 1312
_ROWS_AT_ONCE = 250  # resamples; bounds the memory that large probes take
_KEPT_DIGITS = 10  # so that the order of a sum cannot show in a file


@dataclasses.dataclass(frozen=True)
class Figure:
    """A mean over `seeds` seeds and its interval; low and high are None where there is nothing to
    resample."""
    mean: float
    low: float | None
    high: float | None
    seeds: int

    def __sub__(self, value):
        shifted = (None if self.low is None else self.low - value,
                   None if self.high is None else self.high - value)
        return Figure(self.mean - value, *shifted, self.seeds)


def _generator(name):
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng([_SEED, *np.frombuffer(digest, "<u4")])


def _rounded(value):
    return float(f"{value:.{_KEPT_DIGITS}g}")


def _figure(of_seeds, resampled):
    """`of_seeds`: one value per seed, NaN where it has none."""
    known = of_seeds[np.isfinite(of_seeds)]
    if not known.size:
        return None
    low = high = None
    resampled = resampled[np.isfinite(resampled)]
    if resampled.size:
        low, high = map(_rounded, np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    return Figure(_rounded(known.mean()), low, high, known.size)


def over_seeds(name, values):
    """One Figure per column of values [seeds, quantities], None for a column without a finite
    value. One seed leaves nothing to resample."""
    values = np.asarray(values, float)
    random = _generator(name)
    figures = []
    for column in values.T:
        known = column[np.isfinite(column)]
        drawn = np.zeros(0)
        if known.size > 1:
            drawn = known[random.integers(known.size, size=(RESAMPLES, known.size))].mean(axis=1)
        figures.append(_figure(column, drawn))
    return figures


def _resampled_ratios(random, totals, counts, resamples):
    """sum(totals) / sum(counts) of items drawn with replacement: [resamples, quantities]."""
    items = len(totals)
    result = np.full((resamples, totals.shape[1]), math.nan)
    for begin in range(0, resamples if items else 0, _ROWS_AT_ONCE):
        rows = min(_ROWS_AT_ONCE, resamples - begin)
        drawn = random.integers(items, size=(rows, items)) + items * np.arange(rows)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * items).reshape(rows, items)
        result[begin:begin + rows] = _ratio(weights @ totals, weights @ counts)
    return result


def _ratio(totals, counts):
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts > 0, totals / counts, math.nan)


def _mean_of_known(values, axis):
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=axis), known.sum(axis=axis))


def over_items(name, seeds):
    """One Figure per quantity of the mean over seeds of sum(totals) / sum(counts); None where no
    seed has a count.

    `seeds`: per seed (totals, counts), both [items, quantities]. The quantities of one call are
    resampled together, so that they stay comparable.
    """
    random = _generator(name)
    seeds = [(np.asarray(totals, float), np.asarray(counts, float)) for totals, counts in seeds]
    of_seeds = np.stack([_ratio(totals.sum(axis=0), counts.sum(axis=0))
                         for totals, counts in seeds])
    resampled = np.full((RESAMPLES, *of_seeds.shape), math.nan)
    drawn = random.integers(len(seeds), size=(RESAMPLES, len(seeds)))
    for slot in range(len(seeds)):
        for seed, (totals, counts) in enumerate(seeds):
            rows = np.flatnonzero(drawn[:, slot] == seed)
            resampled[rows, slot] = _resampled_ratios(random, totals, counts, rows.size)
    means = _mean_of_known(resampled, axis=1)
    return [_figure(of_seeds[:, quantity], means[:, quantity])
            for quantity in range(of_seeds.shape[1])]


def binomial_tail(hits, trials, chance):
    """The probability of at least `hits` successes in `trials` independent trials."""
    if hits <= 0:
        return 1.0
    if chance <= 0 or chance >= 1:
        return float(chance >= 1)
    logs = [math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) +
            k * math.log(chance) + (trials - k) * math.log1p(-chance)
            for k in range(hits, trials + 1)]
    largest = max(logs)
    return min(1.0, math.exp(largest) * math.fsum(math.exp(value - largest) for value in logs))


def coverage_of_range(seeds):
    """The probability that the range of `seeds` seeds holds the median of all seeds."""
    return 1 - 2.0 ** (1 - seeds)
