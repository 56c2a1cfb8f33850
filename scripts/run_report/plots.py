"""The figures of the report, one panel each. Each function returns a matplotlib figure, or None where there is nothing to draw."""

import math

from ablation_report import drawing, quantities
from matplotlib.ticker import FuncFormatter

from . import curves

_WIDTH, _HEIGHT = 4.3, 3.0  # inches
_LOSS = "loss (nats per token)"
_CUT = 0.1  # of the figure's width, in which losses may lie above it
_LOGARITHMIC = 10  # times the lowest gradient norm: an axis that must reach so far has powers


def _panel():
    figure, ((axes,),) = drawing.panels(_WIDTH, _HEIGHT, {})
    return figure, axes


def _line(axes, style, points, **options):
    axes.plot([x for x, _ in points], [y for _, y in points], color=style.color, linestyle=(0, style.dashes) if style.dashes else "-",
              **options)


def _limit(axes, all_points):
    """The height that the later part of the curves needs, and the end of each, however short it is."""
    begin = _CUT * max((x for points in all_points for x, _ in points), default=0)
    later = [y for points in all_points for x, y in points if x >= min(begin, (1 - _CUT) * points[-1][0])]
    if later:
        margin = max(0.04 * (max(later) - min(later)), 1e-3)
        axes.set_ylim(min(later) - margin, max(later) + margin)


def _draw_losses(axes, run, style, place, is_alone):
    """Logged losses thin where there is room, their means thick, validation with markers; returns what must be seen."""
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
    figure, axes = _panel()
    _limit(axes, [points for run in drawn for points in _draw_losses(axes, run, styles[run.name], place, len(drawn) == 1)])
    axes.set_xlabel(label)
    axes.set_ylabel(_LOSS)
    drawing.si_axis(axes.xaxis)
    return figure


def _draw_course(runs, styles, key, thin):
    """(figure, its axes, the values on it): a figure of the rows against the step; None where no row has it."""
    drawn = [(styles[run.name], thin((row["step"], row.get(key)) for row in run.steps)) for run in runs]
    values = [y for _, points in drawn for _, y in points]
    if not values:
        return None
    figure, axes = _panel()
    for style, points in drawn:
        _line(axes, style, points, linewidth=1.2)
    axes.set_xlabel("step")
    drawing.si_axis(axes.xaxis)
    return figure, axes, values


def course(runs, styles, key, form):
    """From zero up, `form` writing a value beside the axis."""
    drawn = _draw_course(runs, styles, key, curves.thinned)
    if not drawn:
        return None
    figure, axes, values = drawn
    axes.set_ylim(0, 1.08 * max(values) if max(values) > 0 else 1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: form(value)))
    return figure


def gradient_norms(runs, styles):
    """With every peak; they may span decades. Steps that were skipped are marked below, each run in a row of its own."""
    drawn = _draw_course(runs, styles, "grad_norm", curves.spanned)
    if not drawn:
        return None
    figure, axes, values = drawn
    positive = [value for value in values if value > 0]
    if positive and max(positive) > _LOGARITHMIC * min(positive):
        drawing.log_y(axes, positive, quantities.tick)
    else:
        axes.set_ylim(0, 1.08 * max(values) if positive else 1)
    for row, run in enumerate(run for run in runs if run.skipped):
        axes.plot(run.skipped, [0.02 + 0.045 * row] * len(run.skipped), linestyle="", marker="|", markersize=6, color=styles[run.name].color,
                  transform=axes.get_xaxis_transform())
    return figure


def learning_rate(value):
    """2.5e-4 rather than 0.00025."""
    if value == 0 or abs(value) >= 1e-2:
        return f"{value:.4g}"
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def by_position(runs, styles):
    """Of the last validation."""
    drawn = [run for run in runs if run.validations and len(run.validations[-1].get("by_position", ())) > 1]
    if not drawn:
        return None
    figure, axes = _panel()
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
