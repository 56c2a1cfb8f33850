"""Recall of facts by how far back they stand: exact match and log-likelihood of answers.

An exact match is counted per answer in tasks that ask several questions about a sequence, and per
item in the others: all answer tokens of the item that fall into the range of distances are right.
"""

import dataclasses
import itertools
import math

import numpy as np

from . import floors, intervals, items, study
from .intervals import Estimate

BANDS = ("control", "relay", "beyond")
ANSWER_TASKS = ("associative_recall",)  # the others are counted per item
_BINS_PER_BAND = 4


@dataclasses.dataclass(frozen=True)
class RangeFigures:
    """Of the answers in a range of distances."""
    exact: Estimate | None
    log_likelihood: Estimate | None  # nats per answer token, of the finite ones
    hits: int
    units: int  # answers or items, over all seeds
    not_finite: int  # answer tokens without a finite log-likelihood
    floor: floors.Floor | None
    excess: Estimate | None  # exact minus the floor, item by item


@dataclasses.dataclass(frozen=True)
class Bin:
    band: str
    first: int
    last: int
    middle: float  # geometric mean of the distances in it


@dataclasses.dataclass(frozen=True)
class ProbeFigures:
    """Of a group in one probe."""
    key: study.ProbeKey
    limits: study.Bands  # by which `bands` are sorted
    chance: float
    tokens_per_unit: int | None  # None where it varies
    bands: dict  # name: RangeFigures
    bins: tuple  # (Bin, RangeFigures)
    beyond_own_reach: RangeFigures | None  # of a group of local layers only
    items_left_out: int  # that not every seed was asked
    probes: dict  # of each seed


def limits(bands):
    """{band: (first, last) distance}; the last of "beyond" is infinite."""
    return {"control": (0, bands.window), "relay": (bands.window + 1, bands.reach),
            "beyond": (bands.reach + 1, math.inf)}


def bins_of(probes, bands):
    """Bins of equal ratio within each band, for all probes of one task and length."""
    distances = np.concatenate([probe.distance for probe in probes])
    result = []
    for band, (first, last) in limits(bands).items():
        within = distances[(distances >= first) & (distances <= last)]
        if within.size == 0:
            continue
        low, high = max(int(within.min()), 1), int(within.max()) + 1
        edges = np.unique(np.geomspace(low, high, _BINS_PER_BAND + 1).round().astype(int))
        edges[0] = within.min()
        for begin, end in itertools.pairwise(edges):
            inside = within[(within >= begin) & (within < end)]
            if inside.size:
                middle = float(np.exp(np.log(np.maximum(inside, 1)).mean()))
                result.append(Bin(band, int(begin), int(end) - 1, middle))
    return result


class _Counter:
    """Counts the answers of a probe by item."""

    def __init__(self, probe):
        self._probe = probe
        self.items, self._index = np.unique(probe.item, return_inverse=True)
        self._finite = np.isfinite(probe.log_likelihood)

    def _summed(self, values, mask):
        return np.bincount(self._index[mask], weights=values[mask], minlength=self.items.size)

    def matches(self, exact, mask):
        """Per item: hits and units, of answer tokens that are right where `exact` is 1."""
        answers, right = self._summed(np.ones(mask.size), mask), self._summed(exact, mask)
        if self._probe.task in ANSWER_TASKS:
            return right, answers
        return (answers > 0) & (right == answers), answers > 0

    def likelihoods(self, mask):
        """Per item: summed finite log-likelihood, number of those, number of others."""
        values = np.where(self._finite, self._probe.log_likelihood, 0.0)
        return (self._summed(values, mask), self._summed(self._finite, mask),
                self._summed(~self._finite, mask))

    def arrays(self, ranges, strategies):
        """(numbers of the items, [items, ranges] of what matches() and likelihoods() count, and
        [items, ranges, strategies] of hits by strategies that read no key)"""
        masks = [within(self._probe, *limit) for limit in ranges]
        columns = [(*self.matches(self._probe.exact, mask), *self.likelihoods(mask))
                   for mask in masks]
        blind = np.zeros((self.items.size, len(ranges), strategies))
        for column, mask in enumerate(masks):
            for bit in range(strategies):
                predicted = self._probe.blind >> bit & 1
                blind[:, column, bit] = self.matches(predicted, mask)[0]
        return (self.items, *(np.stack(quantity, axis=1).astype(float)
                              for quantity in zip(*columns)), blind)


def within(probe, first, last):
    return (probe.distance >= first) & (probe.distance <= last)


def log_likelihood(probe, first, last):
    """Of the answer tokens in a range of distances: the sum of the finite ones, and their number."""
    finite, number, _ = _Counter(probe).likelihoods(within(probe, first, last))
    return float(finite.sum()), int(number.sum())


def hits_by_step(probe, last_step, first, last):
    """(units, [(step, hits)]) of the answers in a range of distances, at every checkpoint that was
    asked, the last one at the end."""
    counter, mask = _Counter(probe), within(probe, first, last)
    of_steps = [*((earlier.step, earlier.exact) for earlier in probe.earlier),
                (last_step, probe.exact)]
    return (int(counter.matches(probe.exact, mask)[1].sum()),
            [(step, int(counter.matches(exact, mask)[0].sum())) for step, exact in of_steps])


def matches(probe, bands):
    """Of one run: numbers of the items, hits and units [items, bands]."""
    counter = _Counter(probe)
    columns = [counter.matches(probe.exact, within(probe, *limit))
               for limit in limits(bands).values()]
    return (counter.items, *(np.stack(quantity, axis=1).astype(float) for quantity in zip(*columns)))


def floor(probe, first, last):
    """floors.Floor of one run's answers in a range of distances; None where there are none."""
    _, _, units, *_, blind = _Counter(probe).arrays([(first, last)], len(probe.strategies))
    return floors.of_range(probe.chance, probe.strategies, blind[None, :, 0], units[None, :, 0])[0]


def _tokens_per_unit(probe):
    if probe.task in ANSWER_TASKS:
        return 1
    _, counts = np.unique(probe.item, return_counts=True)
    return int(counts[0]) if counts.size and (counts == counts[0]).all() else None


def figures(key, probes, bins, bands, reach):
    """ProbeFigures of one group. `probes`: {seed: probe}; `bins`: as bins_of() gives them; `bands`:
    by which its answers are sorted; `reach`: of a group of local layers only, else None."""
    ranges = [*limits(bands).values(), *((a_bin.first, a_bin.last) for a_bin in bins)]
    if reach is not None:
        ranges.append((reach + 1, math.inf))
    first = next(iter(probes.values()))
    strategies = first.strategies if all(probe.strategies == first.strategies
                                         for probe in probes.values()) else ()
    runs = {seed: _Counter(probe).arrays(ranges, len(strategies)) for seed, probe in probes.items()}
    arrays, left_out = items.shared(list(runs.values()))
    results = [_of_range(first.chance, strategies, *(array[:, :, column] for array in arrays))
               for column in range(len(ranges))]
    beyond_own_reach = results.pop() if reach is not None else None
    return ProbeFigures(key, bands, first.chance, _tokens_per_unit(first),
                        dict(zip(BANDS, results)), tuple(zip(bins, results[len(BANDS):])),
                        beyond_own_reach, left_out, probes)


def _of_range(chance, strategies, hits, units, likelihood, finite, not_finite, blind):
    """RangeFigures; arrays are [seeds, items], that of strategies [seeds, items, strategies]."""
    floor_of_range, by_floor = floors.of_range(chance, strategies, blind, units)
    return RangeFigures(
        intervals.over_items(hits, units, share=True), intervals.over_items(likelihood, finite),
        int(hits.sum()), int(units.sum()), int(not_finite.sum()), floor_of_range,
        intervals.over_items(hits - by_floor, units))
