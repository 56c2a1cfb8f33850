"""What layouts come to at equal budgets, by a fitted law: compute-optimal losses, and compute multipliers.

The frontier of a layout at a budget C is the lowest loss that its law gives for any number of parameters N, with as many
tokens D = C / c(N) as that pays for. c(N) is what a token costs at that size: known at the sizes of the ladder from the
plan, or from `zebra bench`, between them by the straight line of the logarithms, beyond them by the nearest such line.

The compute multiplier of a layout at a budget is the budget with which the reference's frontier reaches the layout's loss,
over the layout's own budget. Above 1 the layout does as well with less.
"""

import dataclasses
import math

import numpy as np

from . import ladder_fit

_GRID = 240  # sizes that are tried
_BEYOND = 100.0  # how far the smallest and the largest of them are from those of the ladder
_HALVINGS = 24  # of the interval of budgets below
_WIDEST = math.log(1e4)  # a multiplier


@dataclasses.dataclass(frozen=True)
class Curve:
    """A quantity of a model as a function of its parameters: ascending logarithms of both."""
    parameters: np.ndarray
    values: np.ndarray

    def at(self, log_parameters):
        """The logarithm of the quantity."""
        x, y = self.parameters, self.values
        if len(x) == 1:
            return y[0] + (log_parameters - x[0])  # in proportion, nothing else being known
        slopes = np.diff(y) / np.diff(x)
        inside = np.interp(log_parameters, x, y)
        below, above = np.minimum(log_parameters - x[0], 0), np.maximum(log_parameters - x[-1], 0)
        return inside + slopes[0] * below + slopes[-1] * above


def curve(pairs):
    """From pairs of a number of parameters and a quantity; of a size that is there twice the mean counts."""
    values = {}
    for parameters, value in pairs:
        values.setdefault(parameters, []).append(value)
    sizes = sorted(values)
    return Curve(np.log(sizes), np.array([np.log(values[size]).mean() for size in sizes]))


@dataclasses.dataclass(frozen=True, eq=False)
class Optimum:
    """Of a layout at a budget: arrays with an entry for each fit of the law."""
    layout: str
    losses: np.ndarray
    parameters: np.ndarray
    tokens: np.ndarray

    @property
    def loss(self):
        """(estimate, low, high)"""
        return ladder_fit.interval(self.losses)


def _sizes(law):
    return np.linspace(law.center[0] - math.log(_BEYOND), law.center[0] + math.log(_BEYOND), _GRID)


def optimum(law, layout, cost, budget, cache=None, most_bytes=None):
    """The Optimum at a budget in the unit of `cost`, the Curve of a token; budget is a number or [fits]. With `cache`, a
    Curve of bytes, the models alone that take no more than most_bytes, a number or [fits]."""
    sizes = _sizes(law)
    log_tokens = np.log(np.atleast_1d(budget))[:, None] - cost.at(sizes)
    losses = law.losses(layout, np.exp(sizes), np.exp(log_tokens))
    if cache is not None:
        too_large = cache.at(sizes) > np.log(np.atleast_1d(most_bytes))[:, None] + 1e-9
        losses = np.where(too_large, np.inf, losses)
    best = losses.argmin(axis=1)
    tokens = np.broadcast_to(log_tokens, losses.shape)
    rows = np.arange(len(losses))
    return Optimum(layout, losses[rows, best], np.exp(sizes[best]), np.exp(tokens[rows, best]))


def multiplier(law, layout, reference, costs, budget):
    """The compute multiplier in all fits; 1e4 and 1e-4 stand for more and for less than that."""
    if layout == reference:
        return np.ones(len(law.values))
    target = optimum(law, layout, costs[layout], budget).losses
    low = np.full(len(target), math.log(budget) - _WIDEST)
    high = np.full(len(target), math.log(budget) + _WIDEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        worse = optimum(law, reference, costs[reference], np.exp(middle)).losses > target
        low, high = np.where(worse, middle, low), np.where(worse, high, middle)
    return np.exp((low + high) / 2 - math.log(budget))


def chances(optima, allowed=None):
    """{layout: share of the drawn fits in which its loss is the lowest} among those that are allowed."""
    known = [each for each in optima if allowed is None or each.layout in allowed]
    if not known:
        return {}
    best = np.argmin([each.losses[1:] for each in known], axis=0)
    return {each.layout: float(np.mean(best == index)) for index, each in enumerate(known)}


def beyond(points, layout, parameters, tokens):
    """What lies outside the ladder's runs of that layout, in words."""
    own = [point for point in points if point.layout == layout]
    result = []
    for what, value, known in (("parameters", parameters, [point.parameters for point in own]),
                               ("tokens", tokens, [point.tokens for point in own])):
        if value < 0.99 * min(known) or value > 1.01 * max(known):
            result.append(what)
    return result
