"""Means with the uncertainty of their seeds and of the items that all seeds answer.

A loss is known as one number per seed: the t interval over seeds, with one degree of freedom less
than there are seeds. Recall and losses by window of text are means over items, and every seed of
every group gets the same items: seeds and items are crossed, not nested, and both are drawn from
many that might have been. The variance of such a mean is a part of seeds plus a part of items,
estimated from a two-way analysis of variance; the squares of their t intervals add up, in the way
of modified large-sample intervals (Burdick and Graybill, Confidence Intervals on Variance
Components, 1992). Nominal 95 % covers 93.5 to 97.3 % in simulated studies of 3, 5 and 8 seeds
whose seeds differ normally (the constants here were chosen on such studies), and some 91 % of uniform ones at 3 seeds.
"""

import dataclasses
import math

import numpy as np
from scipy import special

LEVEL = 0.95
FEWEST_SEEDS = 3  # fewer say too little about how seeds differ: no interval, no test
_KEPT_DIGITS = 10  # so that the order of a sum cannot show in a file
_LEAST_P = 1e-12
_UNSEEN = 0.1  # how small that part is; chosen by what intervals then cover (test_coverage.py)
_HALVINGS = 60  # of the interval that holds the logarithm of a p value


@dataclasses.dataclass(frozen=True)
class Part:
    """What one source of chance adds to the variance of a mean."""
    variance: float
    freedom: int


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over `seeds` seeds. Without `parts` there are too few seeds: no interval, no test."""
    mean: float
    seeds: int
    parts: tuple[Part, ...] = ()
    items: int | None = None  # that it is a mean over, if any
    share: bool = False  # from 0 to 1

    @property
    def tested(self):
        return bool(self.parts)

    def half_width(self, error):
        """Of the interval that misses the truth with a probability of `error`."""
        return float(half_width(np.array([part.variance for part in self.parts]),
                                np.array([part.freedom for part in self.parts]), error))

    @property
    def low(self):
        return self._interval[0]

    @property
    def high(self):
        return self._interval[1]

    @property
    def _interval(self):
        if not self.tested:
            return None, None
        half = self.half_width(1 - LEVEL)
        low, high = self.mean - half, self.mean + half
        if self.share:
            # All right or all wrong in every seed leaves no variance; items do bound the truth
            # (Clopper and Pearson), though not seeds, which may all have answered alike.
            likely = ((1 - LEVEL) / 2)**(1 / self.items) if half == 0 and self.items else 1.0
            low = min(max(low, 0.0), likely) if self.mean == 1 else max(low, 0.0)
            high = max(min(high, 1.0), 1 - likely) if self.mean == 0 else min(high, 1.0)
        return _rounded(low), _rounded(high)

    def p_two_sided(self):
        """Of a difference at least so far from 0, if the truth is 0. No less than that of as many
        coins as there are items: a handful that happen to agree have no variance."""
        low, high = math.log(_LEAST_P), 0.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if self.half_width(math.exp(middle)) > abs(self.mean):
                low = middle
            else:
                high = middle
        least = 2.0**(1 - self.items) if self.items else 0.0
        return max(math.exp(high), least) if self.mean else 1.0

    def p_above(self):
        """One-sided: of a mean at least so far above 0, if the truth is 0."""
        return self.p_two_sided() / 2 if self.mean > 0 else 1 - self.p_two_sided() / 2


def half_width(variances, freedom, error):
    """Over the last axis, the parts: root of the sum of (t quantile)^2 x variance."""
    quantiles = special.stdtrit(freedom, error / 2)
    return np.sqrt(np.sum(quantiles**2 * variances, axis=-1))


def _rounded(value):
    return float(f"{value:.{_KEPT_DIGITS}g}")


def over_seeds(values):
    """The mean of one value per seed; what is not finite is left out. None if nothing is left."""
    values = np.array(values, float)
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    parts = ()
    if values.size >= FEWEST_SEEDS:
        parts = (Part(float(values.var(ddof=1)) / values.size, values.size - 1),)
    return Estimate(_rounded(values.mean()), values.size, parts)


def crossed_parts(values):
    """Variances [..., 2] that seeds and items add to the mean of values [..., seeds, items].

    With mean squares a of seeds, b of items and e of what is left, a + b - e is an unbiased estimate
    of the variance (times seeds x items); half of e is taken off each. By chance it may come out
    smaller than a or b alone; then the larger of them is taken, and where that is b, seeds have a
    small part in it: so few do not show that they have none."""
    seeds, items = values.shape[-2:]
    mean = values.mean(axis=(-2, -1), keepdims=True)
    of_seeds, of_items = (values.mean(axis=axis, keepdims=True) - mean for axis in (-1, -2))
    rest = values - mean - of_seeds - of_items
    a = items * (of_seeds**2).sum(axis=(-2, -1)) / (seeds - 1)
    b = seeds * (of_items**2).sum(axis=(-2, -1)) / (items - 1)
    e = (rest**2).sum(axis=(-2, -1)) / ((seeds - 1) * (items - 1))
    whole = np.maximum(a + b - e, np.maximum(a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        unseen = _UNSEEN * a / (a + b) * whole
    seed_part = np.where(e <= np.minimum(a, b), a - e / 2, np.where(a > b, a, unseen))
    item_part = whole - seed_part
    return np.stack([seed_part, item_part], axis=-1) / (seeds * items)


def crossed_freedom(seeds, items):
    return np.array([seeds - 1, items - 1])


def influence(totals, counts):
    """(ratio of each seed, values [seeds, items] whose mean over items is the seed's ratio minus the
    mean ratio). A ratio is sum(totals) / sum(counts): items weigh as much as they count."""
    sums = counts.sum(axis=-1, keepdims=True)
    ratios = totals.sum(axis=-1, keepdims=True) / sums
    mean = ratios.mean(axis=-2, keepdims=True)
    return ratios[..., 0], counts.shape[-1] * (totals - mean * counts) / sums


def over_items(totals, counts, share=False):
    """The mean over seeds of sum(totals) / sum(counts); both are [seeds, items]. Seeds and items
    without a count are left out; None if nothing is left."""
    counted = counts.sum(axis=1) > 0
    totals, counts = totals[counted], counts[counted]
    used = (counts > 0).any(axis=0)
    if not used.any():
        return None
    ratios, values = influence(totals[:, used], counts[:, used])
    return _of_items(ratios, values, share)


def difference_over_items(first, second):
    """The mean over seeds of the difference of two ratios. Both are (totals, counts), of the same
    seeds and items."""
    counted = (first[1].sum(axis=1) > 0) & (second[1].sum(axis=1) > 0)
    used = ((first[1] > 0) | (second[1] > 0))[counted].any(axis=0)
    if not used.any():
        return None
    (ratios, values), (other_ratios, other_values) = (
        influence(totals[counted][:, used], counts[counted][:, used])
        for totals, counts in (first, second))
    return _of_items(ratios - other_ratios, values - other_values, False)


def _of_items(ratios, values, share):
    seeds, items = values.shape
    parts = ()
    if seeds >= FEWEST_SEEDS and items > 1:
        parts = tuple(Part(float(variance), int(freedom)) for variance, freedom in
                      zip(crossed_parts(values), crossed_freedom(seeds, items)))
    elif seeds >= FEWEST_SEEDS:
        parts = (Part(float(ratios.var(ddof=1)) / seeds, seeds - 1),)
    return Estimate(_rounded(ratios.mean()), seeds, parts, items, share)
