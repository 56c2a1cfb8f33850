"""A scaling law for the layouts of a ladder, and how sure it is.

L(N, D) = E + A N^-alpha + B D^-beta with N parameters and D tokens. E, alpha and beta are shared by the layouts, A and B
are each layout's own. E is what the text holds, whatever reads it. The exponents are shared because a small ladder does
not tell them apart: with a few sizes and numbers of tokens for each layout, exponents of their own would follow the noise,
and what they said of other sizes would be worth nothing. A layout may so be better by a factor, not by an exponent: a
difference that grows or shrinks with size shows as a misfit, which the report gives for each layout.

Fitted by the least sum of Huber's function of the difference of logarithms of losses, from several starts, as Hoffmann et
al. do (Training Compute-Optimal Large Language Models, 2022). The bootstrap draws the runs anew: the seeds of a rung, the
same for all layouts, which share them; where a point has one seed, residuals of the fit. Learning rates count as given.
"""

import dataclasses
import itertools
import math
import warnings

import numpy as np
from scipy import optimize

LEVEL = 0.95
REPLICATES = 400
_HUBER = 1e-3  # in the logarithm of the loss: beyond it a difference counts by its size, not its square
_TOLERANCE, _MOST_EVALUATIONS = 1e-6, 300
_FEWEST_POINTS = 3  # of a layout
_SHARED = 3  # E, alpha, beta
_STARTS = tuple(itertools.product((0.1, 0.5, 0.9), (0.2, 0.5, 1.0), (0.2, 0.5, 1.0)))  # E of the lowest loss, exponents
_SEED = 20221


@dataclasses.dataclass(frozen=True, eq=False)
class Law:
    """One row of `values` for each fit, the first to the results and the others to drawn ones: the logarithms of E, alpha
    and beta, then those of A and of B of each layout, of sizes in units of `center`."""
    layouts: tuple[str, ...]
    center: tuple[float, float]  # logarithms of N and D
    values: np.ndarray
    misfit: dict  # of each layout: root mean square difference of the logarithms of its losses

    def losses(self, layout, parameters, tokens):
        """[fits, sizes]; parameters and tokens are numbers, or [sizes], or [fits, sizes]."""
        index = self.layouts.index(layout)
        a = self.values[:, _SHARED + index, None]
        b = self.values[:, _SHARED + len(self.layouts) + index, None]
        with np.errstate(over="ignore", invalid="ignore"):  # a fit to drawn runs may be steep, and far from them infinite
            floor, alpha, beta = np.exp(self.values[:, :_SHARED]).T[:, :, None]
            losses = (floor + np.exp(a - alpha * (np.log(parameters) - self.center[0]))
                      + np.exp(b - beta * (np.log(tokens) - self.center[1])))
        return np.where(np.isnan(losses), np.inf, losses)

    def constants(self):
        """{name: values of all fits}; A and B of each layout by (name, layout), for N and D as they are."""
        with np.errstate(over="ignore"):
            floor, alpha, beta = np.exp(self.values[:, :_SHARED].T)
        result = {"E": floor, "alpha": alpha, "beta": beta}
        for index, layout in enumerate(self.layouts):
            a = self.values[:, _SHARED + index]
            b = self.values[:, _SHARED + len(self.layouts) + index]
            with np.errstate(over="ignore"):
                result["A", layout] = np.exp(a + alpha * self.center[0])
                result["B", layout] = np.exp(b + beta * self.center[1])
        return result


def interval(values):
    """(estimate, low, high) of the values of all fits, the first of which is the estimate."""
    low, high = np.quantile(values[1:], ((1 - LEVEL) / 2, (1 + LEVEL) / 2), method="inverted_cdf")
    return float(values[0]), float(low), float(high)


class _Points:
    """The points as arrays, and the residuals of a fit with their derivatives."""

    def __init__(self, points, layouts):
        self.layout = np.array([layouts.index(point.layout) for point in points])
        self.count = len(layouts)
        log_n = np.log([point.parameters for point in points])
        log_d = np.log([point.tokens for point in points])
        self.center = float(log_n.mean()), float(log_d.mean())
        self.n, self.d = log_n - self.center[0], log_d - self.center[1]
        self._rows = np.arange(len(points))

    def _terms(self, theta):
        floor, alpha, beta = np.exp(theta[:_SHARED])
        a, b = theta[_SHARED:_SHARED + self.count], theta[_SHARED + self.count:]
        return (floor, alpha, beta, np.exp(a[self.layout] - alpha * self.n), np.exp(b[self.layout] - beta * self.d))

    def differences(self, theta, log_losses):
        floor, _, _, of_size, of_tokens = self._terms(theta)
        return np.log(floor + of_size + of_tokens) - log_losses

    def residuals(self, theta, log_losses):
        """Numbers whose squares are twice Huber's function of the differences."""
        with np.errstate(over="ignore"):
            difference = np.minimum(np.abs(raw := self.differences(theta, log_losses)), 1e3)
        large = np.sqrt(np.maximum(2 * _HUBER * difference - _HUBER**2, 0))
        return np.sign(raw) * np.where(difference <= _HUBER, difference, large)

    def derivatives(self, theta, log_losses):
        with np.errstate(over="ignore", invalid="ignore"):
            floor, alpha, beta, of_size, of_tokens = self._terms(theta)
            total = floor + of_size + of_tokens
            difference = np.abs(np.log(total) - log_losses)
            slope = np.where(difference <= _HUBER, 1.0,
                             _HUBER / np.sqrt(np.maximum(2 * _HUBER * difference - _HUBER**2, _HUBER**2)))
            result = np.zeros((len(self._rows), len(theta)))
            result[:, 0] = floor / total
            result[:, 1] = -of_size * alpha * self.n / total
            result[:, 2] = -of_tokens * beta * self.d / total
            result[self._rows, _SHARED + self.layout] = of_size / total
            result[self._rows, _SHARED + self.count + self.layout] = of_tokens / total
            return np.nan_to_num(result * slope[:, None])

    def fit(self, start, log_losses):
        """(constants, sum of squared residuals)"""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # fits to drawn runs may end where nothing changes any more
            constants, _ = optimize.leastsq(self.residuals, start, (log_losses,), self.derivatives, ftol=_TOLERANCE,
                                            xtol=_TOLERANCE, maxfev=_MOST_EVALUATIONS)
        return constants, float(np.sum(self.residuals(constants, log_losses)**2))

    def best(self, log_losses):
        lowest = math.exp(log_losses.min())
        spread = max(math.exp(log_losses.max()) - lowest, 1e-3)
        found = []
        for share, alpha, beta in _STARTS:
            rest = math.log(((1 - share) * lowest + spread / 2) / 2)
            start = np.array([math.log(share * lowest), math.log(alpha), math.log(beta), *[rest] * (2 * self.count)])
            found.append(self.fit(start, log_losses))
        return min(found, key=lambda each: each[1])[0]


def fitted_layouts(points):
    """The layouts with enough points for constants of their own."""
    counts = {}
    for point in points:
        counts[point.layout] = counts.get(point.layout, 0) + 1
    return tuple(layout for layout, count in counts.items() if count >= _FEWEST_POINTS)


def lacking(points):
    """Why no law can be fitted to the points; None where one can."""
    known = fitted_layouts(points)
    used = [point for point in points if point.layout in known]
    for what, found in (("sizes", {point.parameters for point in used}),
                        ("numbers of tokens per parameter", {point.tokens_per_parameter for point in used})):
        if len(found) < 2:
            return f"it takes two {what} or more, finished by layouts of {_FEWEST_POINTS} points or more"
    needed = _SHARED + 2 * len(known) + 1
    if len(used) < needed:
        return f"it has {_SHARED + 2 * len(known)} constants, which takes {needed} points or more; there are {len(used)}"
    return None


def fit(points, replicates=REPLICATES):
    """The Law of the points, of which lacking() says nothing."""
    layouts = fitted_layouts(points)
    points = [point for point in points if point.layout in layouts]
    arrays = _Points(points, layouts)
    log_losses = np.log([point.loss for point in points])
    best = arrays.best(log_losses)
    differences = arrays.differences(best, log_losses)
    drawn = _drawn(points, log_losses, differences, len(best), replicates)
    values = np.stack([best, *(arrays.fit(best, losses)[0] for losses in drawn)])
    misfit = {layout: float(np.sqrt(np.mean(differences[arrays.layout == index]**2)))
              for index, layout in enumerate(layouts)}
    return Law(layouts, arrays.center, values, misfit)


def _drawn(points, log_losses, differences, constants, replicates):
    """[replicates, points] logarithms of losses as other runs might have come to."""
    random = np.random.default_rng(_SEED)
    fitted = log_losses + differences
    alone = np.array([len(point.losses) < 2 for point in points])
    # A fit follows its points, so that residuals are smaller than what they are taken for.
    residuals = differences[alone] * math.sqrt(len(points) / (len(points) - constants))
    result = np.empty((replicates, len(points)))
    draws = {}
    for column, point in enumerate(points):
        if alone[column]:
            result[:, column] = fitted[column] + random.choice(residuals, replicates)
            continue
        seeds = tuple(sorted(point.losses))
        key = (point.rung, seeds)
        if key not in draws:
            draws[key] = random.integers(len(seeds), size=(replicates, len(seeds)))
        losses = np.array([point.losses[seed] for seed in seeds])
        means = losses[draws[key]].mean(axis=1)
        # Deviations of a drawn mean have the variance of n values around their own mean, which is too small.
        wider = math.sqrt(len(seeds) / (len(seeds) - 1))
        result[:, column] = np.log(losses.mean() + wider * (means - losses.mean()))
    return result
