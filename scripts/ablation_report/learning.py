"""How soon recall is learnt: exact matches at every kept checkpoint, and the tokens until they
reach a goal.

The goal of a band is halfway between its floor and 1, the same for all groups. A seed reaches it
between two checkpoints: the first one at the goal and the one before. Times are those of the first
one; intervals are widened by what lies between the two. A seed that is below the goal at its last
checkpoint is censored: its time is later than that, and nothing more is known.
"""

import dataclasses
import math

from . import floors, intervals, recall, significance

_TINY = 1e-9  # shares that are equal may differ by rounding


@dataclasses.dataclass(frozen=True)
class Time:
    """Of a seed: below the goal at `before` tokens (0: at no checkpoint), there at `tokens`, which
    is None where it was not reached."""
    before: float
    tokens: float | None

    @property
    def reached(self):
        return self.tokens is not None


@dataclasses.dataclass(frozen=True)
class Goal:
    floor: floors.Floor
    share: float | None  # None: of so few answers that luck may get there


@dataclasses.dataclass(frozen=True)
class Tokens:
    """A geometric mean over seeds, or one of ratios; without an interval where seeds are few."""
    mean: float
    low: float | None = None  # 0: checkpoints set no lower limit
    high: float | None = None  # infinite: nor an upper one


@dataclasses.dataclass(frozen=True)
class BandLearning:
    """Of a group in one band of a probe."""
    curves: dict  # seed: [(tokens, share of exact matches)]
    times: dict  # seed: Time; empty where the goal has no share

    @property
    def mean_curve(self):
        """At the tokens that all seeds have."""
        of_seeds = [dict(curve) for curve in self.curves.values()]
        common = sorted(set.intersection(*map(set, of_seeds)))
        return [(tokens, sum(curve[tokens] for curve in of_seeds) / len(of_seeds))
                for tokens in common]


@dataclasses.dataclass(frozen=True)
class ProbeLearning:
    """Of all groups in one probe."""
    goals: dict  # band: Goal, of those that have answers
    groups: dict  # name: {band: BandLearning}


def of_study(a_study, groups):
    """{study.ProbeKey: ProbeLearning} of the probes that were asked at several checkpoints, in the
    bands that questions are drawn by. `groups`: GroupFigures."""
    result = {}
    for key in a_study.probe_keys:
        arms = {group.name: _asked_earlier(a_study, group.group, key) for group in groups}
        arms = {name: of_group for name, of_group in arms.items() if of_group}
        if arms:
            result[key] = _of_probe(a_study.bands_of(None, None), arms)
    return result


def _asked_earlier(a_study, group, key):
    """{seed: (arm, probe)}"""
    return {arm.seed: (arm, probe) for arm in group.finished for probe in arm.probes
            if probe.earlier and a_study.key(probe) == key
            and arm.step and arm.tokens_at(arm.step) is not None}


def _of_probe(bands, arms):
    goals, of_groups = {}, {name: {} for name in arms}
    for band, limits in recall.limits(bands).items():
        counts = {name: {seed: (arm, *recall.hits_by_step(probe, arm.step, *limits))
                         for seed, (arm, probe) in of_group.items()}
                  for name, of_group in arms.items()}
        counts = {name: known for name, of_group in counts.items()
                  if (known := {seed: found for seed, found in of_group.items() if found[1]})}
        if not counts:
            continue
        runs = [run for of_group in counts.values() for run in of_group.values()]
        goals[band] = _goal(_floor(arms, limits), runs)
        for name, of_group in counts.items():
            of_groups[name][band] = _of_band(of_group, goals[band])
    return ProbeLearning(goals, of_groups)


def _floor(arms, limits):
    """The highest of all runs, whose answers are the same unless some are missing."""
    known = [floor for of_group in arms.values() for _, probe in of_group.values()
             if (floor := recall.floor(probe, *limits))]
    return max(known, key=lambda floor: floor.share)


def _goal(floor, runs):
    """The Goal of a band; no share if a run at the floor may well get there at some checkpoint."""
    share = (floor.share + 1) / 2
    by_luck = max(len(hits) * significance.binomial_tail(math.ceil(share * units - _TINY), units,
                                                    floor.share)
                  for _, units, hits in runs)
    return Goal(floor, share if by_luck < significance.ERROR else None)


def _of_band(runs, goal):
    curves = {seed: [(arm.tokens_at(step), hits / units) for step, hits in of_steps]
              for seed, (arm, units, of_steps) in runs.items()}
    times = {} if goal.share is None else {seed: time_until(curve, goal.share)
                                           for seed, curve in curves.items()}
    return BandLearning(curves, times)


def time_until(curve, share):
    """The Time of a curve's first point at a share."""
    before = 0.0
    for tokens, reached in curve:
        if reached >= share - _TINY:
            return Time(before, tokens)
        before = tokens
    return Time(before, None)


def until(times):
    """Tokens of seeds that have all reached the goal."""
    return _geometric([time.tokens for time in times], [time.before for time in times],
                      [time.tokens for time in times])


def median(times):
    """Of all seeds, those that did not reach the goal counted as later than the others; None where
    that is one of those. With equal budgets, as the seeds of a group have, this is the median of
    Kaplan and Meier."""
    reached = sorted(time.tokens for time in times if time.reached)
    middle = (len(times) - 1) // 2
    return reached[middle] if middle < len(reached) else None


def ratio(own, others):
    """Tokens of a group over those of another, seed by seed; None unless all seeds that both have
    reached the goal in both. Both are {seed: Time}."""
    pairs = [(own[seed], others[seed]) for seed in sorted(own.keys() & others.keys())]
    if not pairs or not all(time.reached for pair in pairs for time in pair):
        return None
    return _geometric(
        [time.tokens / other.tokens for time, other in pairs],
        [time.before / other.tokens for time, other in pairs],
        [time.tokens / other.before if other.before else math.inf for time, other in pairs])


def _geometric(values, least, most):
    """`least` and `most`: what each value is at least and at most. The t interval of logarithms runs
    from the lower limit of the one to the upper limit of the other."""
    def of_logarithms(numbers):
        return intervals.over_seeds([math.log(number) for number in numbers])

    mean = math.exp(of_logarithms(values).mean)
    if len(values) < intervals.FEWEST_SEEDS:
        return Tokens(mean)
    return Tokens(mean, math.exp(of_logarithms(least).low) if min(least) > 0 else 0.0,
                  math.exp(of_logarithms(most).high) if max(most) < math.inf else math.inf)
