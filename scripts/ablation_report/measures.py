"""The figures of every group: means over its finished seeds."""

import dataclasses

import numpy as np

from . import bootstrap, recall, study
from .bootstrap import Figure


@dataclasses.dataclass(frozen=True)
class Curve:
    """Loss against training, at the steps that all seeds have."""
    kind: str  # "validation" or "training"
    training_flops: tuple
    losses: tuple  # of Figure; None where no seed has a finite loss


@dataclasses.dataclass(frozen=True)
class TextFigures:
    loss: Figure | None
    by_position: tuple  # ((begin, end), Figure)
    by_length: tuple  # (length, Figure)
    classes: dict  # of bigrams: Figure
    context: dict  # "full", "cut", "difference" (full minus cut): Figure


@dataclasses.dataclass(frozen=True)
class GroupFigures:
    group: study.Group
    validation_loss: Figure | None
    curve: Curve | None
    text: TextFigures
    probes: dict  # (task, length): recall.ProbeFigures

    @property
    def name(self):
        return self.group.name

    def mean(self, field):
        """Of a number that every arm has one of; None if no finished arm has it."""
        values = [getattr(arm, field) for arm in self.group.finished]
        values = [value for value in values if value is not None]
        return float(np.mean(values)) if values else None


def final_validation_loss(arm):
    return arm.validation_curve[-1].loss if arm.validation_curve else None


def _one(name, values):
    """The Figure of one value per seed; None among them stands for no finite value."""
    if not values:
        return None
    return bootstrap.over_seeds(name, np.array(values, float).reshape(-1, 1))[0]


def _common_points(name, of_seeds):
    """(key, Figure) of every key that all seeds have, in order. `of_seeds`: [{key: value}]"""
    if not of_seeds:
        return ()
    keys = sorted(set.intersection(*(set(points) for points in of_seeds)))
    if not keys:
        return ()
    values = np.array([[points[key] for key in keys] for points in of_seeds], float)
    return tuple(zip(keys, bootstrap.over_seeds(name, values)))


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
        points = _common_points(f"{group.name}, {kind} curve", of_seeds)
        if points:
            return Curve(kind, tuple(key[1] for key, _ in points),
                         tuple(figure for _, figure in points))
    return None


def _classes(group, texts):
    """Losses per class over windows; a window without a finite loss is left out."""
    result = {}
    for kind in study.CLASSES:
        seeds = []
        for text in texts:
            for loss in text.bigrams:
                if loss.kind == kind:
                    finite = np.isfinite(loss.nats)
                    seeds.append((np.where(finite, loss.nats, 0.0)[:, None],
                                  np.where(finite, loss.tokens, 0)[:, None]))
        if seeds:
            result[kind] = bootstrap.over_items(f"{group.name}, bigrams, {kind}", seeds)[0]
    return result


def _context(group, texts):
    seeds = []
    for text in texts:
        if text.context:
            columns = np.stack([text.context.full, text.context.cut,
                                text.context.full - text.context.cut], axis=1)
            finite = np.isfinite(columns)
            seeds.append((np.where(finite, columns, 0.0), finite))
    if not seeds:
        return {}
    return dict(zip(("full", "cut", "difference"),
                    bootstrap.over_items(f"{group.name}, context", seeds)))


def _text(group):
    texts = [arm.text for arm in group.finished if arm.text]
    positions = [{(row.begin, row.end): row.loss for row in text.by_position}
                 for text in texts if text.by_position]
    lengths = [{row.length: row.loss for row in text.by_length}
               for text in texts if text.by_length]
    return TextFigures(
        _one(f"{group.name}, loss on text", [text.loss for text in texts]),
        _common_points(f"{group.name}, loss by position", positions),
        _common_points(f"{group.name}, loss by length", lengths),
        _classes(group, texts), _context(group, texts))


def probe_keys(a_study):
    """(task, length) of every probe of a finished arm, in the order of the study."""
    return list(dict.fromkeys((probe.task, probe.length) for arm in a_study.arms if arm.finished
                              for probe in arm.probes))


def _probes(a_study, group, bins):
    result = {}
    for key in bins:
        probes = [probe for arm in group.finished for probe in arm.probes
                  if (probe.task, probe.length) == key]
        if probes:
            name = f"{group.name}, {key[0]} at length {key[1]}"
            result[key] = recall.figures(name, probes, bins[key], a_study.bands, group.reach)
    return result


def of_study(a_study):
    """GroupFigures of every group, in the order of the study."""
    bins = {key: recall.bins_of([probe for arm in a_study.arms if arm.finished
                                 for probe in arm.probes if (probe.task, probe.length) == key],
                                a_study.bands)
            for key in probe_keys(a_study)}
    return [GroupFigures(
        group,
        _one(f"{group.name}, validation loss",
             [final_validation_loss(arm) for arm in group.finished if arm.validation_curve]),
        _curve(group), _text(group), _probes(a_study, group, bins))
            for group in a_study.groups]
