"""Recall of facts by how far back they stand: exact match and log-likelihood of answers.

An exact match is counted per answer in tasks that ask several questions about a sequence, and per
item in the others: all answer tokens of the item that fall into the range of distances are right.
"""

import dataclasses
import itertools
import math

import numpy as np

from . import bootstrap
from .bootstrap import Figure

BANDS = ("control", "relay", "beyond")
ANSWER_TASKS = ("associative_recall",)  # the others are counted per item
_BINS_PER_BAND = 4


@dataclasses.dataclass(frozen=True)
class RangeFigures:
    """Of the answers in a range of distances."""
    exact: Figure | None
    log_likelihood: Figure | None  # nats per answer token, of the finite ones
    hits: int
    units: int  # answers or items, over all seeds
    not_finite: int  # answer tokens without a finite log-likelihood


@dataclasses.dataclass(frozen=True)
class Bin:
    band: str
    first: int
    last: int
    middle: float  # geometric mean of the distances in it


@dataclasses.dataclass(frozen=True)
class ProbeFigures:
    """Of a group in one task at one length."""
    task: str
    length: int
    chance: float
    tokens_per_unit: int | None  # None where it varies
    bands: dict  # name: RangeFigures
    bins: tuple  # (Bin, RangeFigures)
    beyond_own_reach: RangeFigures | None  # of a group of local layers only


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


def _counts_by_item(probe, mask):
    """Per item of the probe: hits, units, summed finite log-likelihood, number of those."""
    items, index = np.unique(probe.item, return_inverse=True)

    def summed(values):
        return np.bincount(index[mask], weights=values[mask], minlength=items.size)

    answers, exact = summed(np.ones(index.size)), summed(probe.exact)
    finite = np.isfinite(probe.log_likelihood)
    likelihood = (summed(np.where(finite, probe.log_likelihood, 0.0)), summed(finite))
    if probe.task in ANSWER_TASKS:
        return exact, answers, *likelihood
    return (answers > 0) & (exact == answers), answers > 0, *likelihood


def totals(probe, first, last):
    """Of the answers in a range of distances: hits, units, summed finite log-likelihood, number of
    those."""
    mask = (probe.distance >= first) & (probe.distance <= last)
    return tuple(float(np.sum(values)) for values in _counts_by_item(probe, mask))


def _tokens_per_unit(probe):
    if probe.task in ANSWER_TASKS:
        return 1
    _, counts = np.unique(probe.item, return_counts=True)
    return int(counts[0]) if counts.size and (counts == counts[0]).all() else None


def figures(name, probes, bins, bands, reach):
    """ProbeFigures of one group. `probes`: of its seeds, for one task and length; `bins`: as
    bins_of() gives them; `reach`: of a group of local layers only, else None; `name` seeds the
    bootstrap."""
    ranges = [*limits(bands).values(), *((a_bin.first, a_bin.last) for a_bin in bins)]
    if reach is not None:
        ranges.append((reach + 1, math.inf))
    # [seed][hits, units, likelihood, finite][items, ranges]
    counts = []
    for probe in probes:
        masks = [(probe.distance >= first) & (probe.distance <= last) for first, last in ranges]
        columns = [_counts_by_item(probe, mask) for mask in masks]
        counts.append([np.stack(quantity, axis=1).astype(float) for quantity in zip(*columns)])
    exact = bootstrap.over_items(f"{name}, exact match",
                                 [(hits, units) for hits, units, _, _ in counts])
    likelihood = bootstrap.over_items(f"{name}, log-likelihood",
                                      [(total, finite) for _, _, total, finite in counts])
    results = []
    for column, (first, last) in enumerate(ranges):
        tokens = sum(int(((p.distance >= first) & (p.distance <= last)).sum()) for p in probes)
        hits, units, finite = (sum(int(seed[quantity][:, column].sum()) for seed in counts)
                               for quantity in (0, 1, 3))
        results.append(RangeFigures(exact[column], likelihood[column], hits, units,
                                    tokens - finite))
    beyond_own_reach = results.pop() if reach is not None else None
    return ProbeFigures(probes[0].task, probes[0].length, probes[0].chance,
                        _tokens_per_unit(probes[0]), dict(zip(BANDS, results)),
                        tuple(zip(bins, results[len(BANDS):])), beyond_own_reach)
