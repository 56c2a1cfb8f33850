"""The points of a ladder: each layout at each size and number of tokens per parameter, with the learning rate that suits
it best."""

import dataclasses

import numpy as np

from . import measures


@dataclasses.dataclass(frozen=True)
class Point:
    """What the runs of one learning rate came to, the one with the lowest loss among those that were tried."""
    layout: str
    size: str
    tokens_per_parameter: float
    learning_rate: float
    rates: tuple[float, ...]  # tried, ascending
    parameters: int
    tokens: int
    flops: float
    flops_per_token: float
    key_value_cache_bytes: int
    losses: dict  # of each seed

    @property
    def rung(self):
        return self.size, self.tokens_per_parameter

    @property
    def loss(self):
        return float(np.mean(list(self.losses.values())))

    @property
    def at_edge(self):
        """Whether a better rate may lie beyond those that were tried."""
        return self.learning_rate in (self.rates[0], self.rates[-1])


def _losses(arms):
    return {arm.seed: loss for arm in arms if (loss := measures.validation_loss(arm)) is not None}


def _best(by_rate):
    """The rate with the lowest mean over the seeds that all rates have, or, where they share none, over its own."""
    common = set.intersection(*(set(losses) for losses in by_rate.values()))

    def mean(rate):
        losses = by_rate[rate]
        return np.mean([losses[seed] for seed in common or losses])

    return min(by_rate, key=mean)


def of_study(a_study):
    """Points in the order of the study; those of which no arm has finished are left out."""
    cells = {}
    for arm in a_study.arms:
        if arm.finished:
            stand = arm.ladder
            cells.setdefault((stand.layout, stand.size, stand.tokens_per_parameter), {}).setdefault(
                stand.learning_rate, []).append(arm)
    points = []
    for (layout, size, tokens_per_parameter), by_rate in cells.items():
        losses = {rate: found for rate, arms in by_rate.items() if (found := _losses(arms))}
        if losses:
            rate = _best(losses)
            first = by_rate[rate][0]
            points.append(Point(layout, size, tokens_per_parameter, rate, tuple(sorted(losses)),
                                first.ladder.parameters, first.tokens, first.training_flops,
                                first.training_flops_per_token, first.ladder.key_value_cache_bytes, losses[rate]))
    return points


def layouts(points):
    return list(dict.fromkeys(point.layout for point in points))


def reference(a_study, points):
    """The layout that the others are compared with: the study's choice, else the first of global layers only, else the
    first."""
    known = layouts(points)
    if a_study.contrast in known:
        return a_study.contrast
    full = (arm.ladder.layout for arm in a_study.arms if set(arm.layout) == {"G"})
    return next((layout for layout in full if layout in known), known[0])


def _renamed(arm):
    return dataclasses.replace(arm, group=arm.ladder.layout)


def by_layout(a_study):
    """The study with its layouts as groups; one without a ladder as it is."""
    if not a_study.ladder:
        return a_study
    return dataclasses.replace(a_study, arms=tuple(map(_renamed, a_study.arms)))


def largest_rung(a_study):
    """The study with the arms that cost most alone, a group for each layout at its best learning rate: what the other
    sections of the report compare. Of the rungs at which most layouts have finished arms, the one with the most FLOPs. A
    study without a ladder as it is."""
    if not a_study.ladder:
        return a_study
    points = of_study(a_study)
    of_rungs = {}
    for point in points:
        of_rungs.setdefault(point.rung, []).append(point)
    if not of_rungs:
        last = a_study.arms[-1].ladder
        chosen, rates = (last.size, last.tokens_per_parameter), {}
    else:
        chosen = max(of_rungs, key=lambda rung: (len(of_rungs[rung]), max(point.flops for point in of_rungs[rung])))
        rates = {point.layout: point.learning_rate for point in of_rungs[chosen]}
    arms = []
    for arm in a_study.arms:
        stand = arm.ladder
        if (stand.size, stand.tokens_per_parameter) == chosen and \
                stand.learning_rate == rates.setdefault(stand.layout, stand.learning_rate):
            arms.append(_renamed(arm))
    return dataclasses.replace(a_study, arms=tuple(arms))
