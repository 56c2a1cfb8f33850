"""The figures of the report, one panel each. Each function returns a matplotlib figure, or None where there is nothing to draw."""

import math

from ablation_report import drawing

from . import curves

_WIDTH, _HEIGHT = 4.3, 3.0  # inches
_LOSS = "loss (nats per token)"
_CUT = 0.1  # of a run's beginning, whose losses may lie above the figure


def _panel(runs, styles):
    figure, ((axes,),) = drawing.panels(_WIDTH, _HEIGHT, {run.name: styles[run.name] for run in runs} if len(runs) > 1 else {})
    return figure, axes


def _line(axes, style, points, **options):
    axes.plot([x for x, _ in points], [y for _, y in points], color=style.color, linestyle=(0, style.dashes) if style.dashes else "-",
              **options)


def _limit(axes, all_points):
    """The height that the later part of the curves needs."""
    later = [y for points in all_points for y in [y for _, y in points][math.floor(_CUT * len(points)):]]
    if later:
        margin = max(0.04 * (max(later) - min(later)), 1e-3)
        axes.set_ylim(min(later) - margin, max(later) + margin)


def _draw_losses(axes, run, style, place, is_alone):
    """Each logged loss thin where there is room, their means thick, validation with markers; returns what must be seen."""
    points = curves.finite((place(row), row["loss"]) for row in run.steps)
    if is_alone:
        _line(axes, style, curves.thinned(points), linewidth=0.6, alpha=0.35)
    means = curves.thinned(curves.smoothed(points))
    _line(axes, style, means, linewidth=1.8)
    at = {row["step"]: place(row) for row in run.steps}
    validation = curves.finite((at[row["step"]], row["validation_loss"]) for row in run.validations if row["step"] in at)
    axes.plot([x for x, _ in validation], [y for _, y in validation], linestyle="", marker=style.marker, color=style.color,
              markeredgecolor="white", markeredgewidth=0.5)
    return [means, validation]


def losses(runs, styles, label, place):
    """`place`: of a row on the axis that `label` names."""
    drawn = [run for run in runs if run.steps]
    if not drawn:
        return None
    figure, axes = _panel(drawn, styles)
    _limit(axes, [points for run in drawn for points in _draw_losses(axes, run, styles[run.name], place, len(drawn) == 1)])
    axes.set_xlabel(label)
    axes.set_ylabel(_LOSS)
    drawing.si_axis(axes.xaxis)
    return figure


def course(runs, styles, key, from_zero):
    """A figure of the rows against the step; of gradient norms, which may span decades, with the steps that were skipped."""
    drawn = [run for run in runs if any(row.get(key) is not None for row in run.steps)]
    if not drawn:
        return None
    figure, axes = _panel(drawn, styles)
    values = []
    for run in drawn:
        points = curves.finite((row["step"], row.get(key)) for row in run.steps)
        _line(axes, styles[run.name], curves.thinned(points), linewidth=1.2)
        values += [y for _, y in points]
        for step in () if from_zero else run.skipped:
            axes.axvline(step, color=styles[run.name].color, linewidth=0.6, linestyle=(0, (2, 2)))
    if from_zero:
        axes.set_ylim(bottom=0)
        drawing.si_axis(axes.yaxis)
    else:
        drawing.decades(axes, [value for value in values if value > 0], "y")
    axes.set_xlabel("step")
    drawing.si_axis(axes.xaxis)
    return figure


def by_position(runs, styles):
    """Of the last validation."""
    drawn = [run for run in runs if run.validations and len(run.validations[-1].get("by_position", ())) > 1]
    if not drawn:
        return None
    figure, axes = _panel(drawn, styles)
    middles = []
    for run in drawn:
        buckets = run.validations[-1]["by_position"]
        points = curves.finite((math.sqrt((bucket["begin"] + 1) * bucket["end"]), bucket["loss"]) for bucket in buckets)
        _line(axes, styles[run.name], points, marker=styles[run.name].marker)
        middles += [x for x, _ in points]
    axes.set_xlabel("position in the sequence, from 1")
    axes.set_ylabel(_LOSS)
    drawing.octaves(axes, middles)
    return figure
