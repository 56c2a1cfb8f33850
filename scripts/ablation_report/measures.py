"""The figures of every group: means over its finished seeds."""

import dataclasses

import numpy as np

from . import intervals, items, recall, study
from .intervals import Estimate

_MADE_AND_AVERAGED = ((20, 5), (6, 3))  # evaluations: from so many on, the mean of the last so many


@dataclasses.dataclass(frozen=True)
class Curve:
    """Loss against training, at the steps that all seeds have."""
    kind: str  # "validation" or "training"
    training_flops: tuple
    losses: tuple  # of Estimate; None where no seed has a finite loss


@dataclasses.dataclass(frozen=True)
class TextFigures:
    loss: Estimate | None
    by_position: tuple  # ((begin, end), Estimate)
    by_visible: tuple  # the same
    by_length: tuple  # (length, Estimate)
    classes: dict  # of bigrams: Estimate
    context: dict  # "full", "cut", "difference" (full minus cut): Estimate


@dataclasses.dataclass(frozen=True)
class GroupFigures:
    group: study.Group
    validation_loss: Estimate | None
    evaluations: int  # averaged for each validation loss, of the seed with the fewest
    noise: float | None  # standard deviation of one evaluation around their mean
    curve: Curve | None
    text: TextFigures
    probes: dict  # study.ProbeKey: recall.ProbeFigures

    @property
    def name(self):
        return self.group.name

    def mean(self, field):
        """Of a number that every arm has one of; None if no finished arm has it."""
        values = [getattr(arm, field) for arm in self.group.finished]
        values = [value for value in values if value is not None]
        return float(np.mean(values)) if values else None


def last_evaluations(arm):
    """The losses that an arm's validation loss is the mean of: one evaluation is noisy, and the last
    few of many are nearly of one model. Empty where one of them is not finite."""
    made = len(arm.validation_curve)
    averaged = next((last for least, last in _MADE_AND_AVERAGED if made >= least), 1)
    losses = [point.loss for point in arm.validation_curve[-averaged:]]
    return [] if None in losses else losses


def validation_loss(arm):
    losses = last_evaluations(arm)
    return float(np.mean(losses)) if losses else None


def _noise(arms):
    """Pooled over seeds; None where each has a single evaluation."""
    of_seeds = [losses for arm in arms if len(losses := last_evaluations(arm)) > 1]
    if not of_seeds:
        return None
    squares = sum(np.var(losses) * len(losses) for losses in of_seeds)
    return float(np.sqrt(squares / sum(len(losses) - 1 for losses in of_seeds)))


def _common_points(of_seeds):
    """(key, Estimate) of every key that all seeds have, in order. `of_seeds`: [{key: value}]"""
    if not of_seeds:
        return ()
    keys = sorted(set.intersection(*(set(points) for points in of_seeds)))
    return tuple((key, intervals.over_seeds([points[key] for points in of_seeds])) for key in keys)


def smoothed(values, points=9):
    """The mean of as many points before each one as behind it, `points` in all and fewer at both ends: a mean of those
    before alone would lag behind a loss that falls. NaN is passed over."""
    values = np.asarray(values, float)
    means = []
    for i in range(len(values)):
        reach = min(points // 2, i, len(values) - 1 - i)
        around = values[i - reach : i + reach + 1]
        around = around[np.isfinite(around)]
        means.append(around.mean() if len(around) else np.nan)
    return means


def _losses_by_flops(points, smooth):
    known = [point for point in points if point.training_flops is not None]
    losses = np.array([point.loss for point in known], float)
    return {(point.step, point.training_flops): loss
            for point, loss in zip(known, smoothed(losses) if smooth else losses)}


def _curve(group):
    for kind in ("validation", "training"):
        field = "validation_curve" if kind == "validation" else "curve"
        of_seeds = [_losses_by_flops(getattr(arm, field), smooth=kind == "training")
                    for arm in group.finished if getattr(arm, field)]
        points = _common_points(of_seeds)
        if points:
            return Curve(kind, tuple(key[1] for key, _ in points),
                         tuple(figure for _, figure in points))
    return None


def class_of_tokens(text, kind):
    """(numbers of the windows, nats, tokens); a window without a finite loss counts nothing. None
    where the class was not measured."""
    for loss in text.bigrams:
        if loss.kind == kind:
            finite = np.isfinite(loss.nats)
            return (np.arange(len(finite)), np.where(finite, loss.nats, 0.0),
                    np.where(finite, loss.tokens, 0).astype(float))
    return None


def _classes(texts):
    result = {}
    for kind in study.CLASSES:
        runs = [run for text in texts if (run := class_of_tokens(text, kind))]
        if runs:
            (nats, tokens), _ = items.shared(runs)
            result[kind] = intervals.over_items(nats, tokens)
    return result


def _context(texts):
    runs = []
    for text in texts:
        if text.context:
            full, cut = text.context.full, text.context.cut
            columns = np.stack([full, cut, full - cut], axis=1)
            finite = np.isfinite(columns)
            runs.append((np.arange(len(full)), np.where(finite, columns, 0.0),
                         finite.astype(float)))
    if not runs:
        return {}
    (nats, targets), _ = items.shared(runs)
    return {name: intervals.over_items(nats[:, :, column], targets[:, :, column])
            for column, name in enumerate(("full", "cut", "difference"))}


def positions(text, field="by_position"):
    return {(row.begin, row.end): row.loss for row in getattr(text, field)}


def lengths(text):
    return {row.length: row.loss for row in text.by_length}


def _text(group):
    texts = [arm.text for arm in group.finished if arm.text]
    return TextFigures(
        intervals.over_seeds([text.loss for text in texts]),
        *(_common_points([positions(text, field) for text in texts if getattr(text, field)])
          for field in ("by_position", "by_visible")),
        _common_points([lengths(text) for text in texts if text.by_length]),
        _classes(texts), _context(texts))


def _probes(a_study, group, bins):
    result = {}
    for key in bins:
        probes = {arm.seed: probe for arm in group.finished for probe in arm.probes
                  if a_study.key(probe) == key}
        if probes:
            result[key] = recall.figures(key, probes, bins[key],
                                         a_study.bands_of(*group.bands_key), group.reach)
    return result


def highest_floor(groups, key, band):
    """The floors.Floor of a band for all groups: they have the same answers unless some are missing.
    None where the band has none."""
    known = [floor for group in groups if key in group.probes
             if (floor := group.probes[key].bands[band].floor)]
    return max(known, key=lambda floor: floor.share, default=None)


def of_study(a_study):
    """GroupFigures of every group, in the order of the study."""
    bins = {key: recall.bins_of([probe for arm in a_study.arms if arm.finished
                                 for probe in arm.probes if a_study.key(probe) == key],
                                a_study.bands)
            for key in a_study.probe_keys}
    return [GroupFigures(
        group, intervals.over_seeds([validation_loss(arm) for arm in group.finished]),
        min((len(losses) for arm in group.finished if (losses := last_evaluations(arm))),
            default=0),
        _noise(group.finished), _curve(group), _text(group), _probes(a_study, group, bins))
            for group in a_study.groups]
