"""The figures of the report. Each function returns a matplotlib figure, or None where there is nothing to draw."""

import math

from ablation_report import drawing

from . import curves

_LOSS = "loss (nats per token)"
_CUT = 0.05  # of a run's beginning, whose losses may lie above the figure


def _line(axes, style, points, **options):
    axes.plot([x for x, _ in points], [y for _, y in points], color=style.color, linestyle=(0, style.dashes) if style.dashes else "-",
              **options)


def _shown(runs, styles):
    return {run.name: styles[run.name] for run in runs} if len(runs) > 1 else {}


def _limit(axes, all_points):
    """The height that the later part of the curves needs."""
    later = [y for points in all_points for y in [y for _, y in points][math.floor(_CUT * len(points)):]]
    if later:
        margin = max(0.04 * (max(later) - min(later)), 1e-3)
        axes.set_ylim(min(later) - margin, max(later) + margin)


def losses(runs, styles):
    """Against tokens and against hours: each logged loss thin, their means thick, validation with markers."""
    drawn = [run for run in runs if run.steps]
    if not drawn:
        return None
    figure, (panels,) = drawing.panels(drawing.PAGE_WIDTH, 4.0, _shown(drawn, styles), columns=2)
    places = (("tokens", lambda row: row["tokens"]), ("hours of training", lambda row: row["seconds"] / 3600))
    for axes, (label, place) in zip(panels, places, strict=True):
        everything = []
        for run in drawn:
            points = curves.finite((place(row), row["loss"]) for row in run.steps)
            if len(drawn) == 1:
                _line(axes, styles[run.name], curves.thinned(points), linewidth=0.6, alpha=0.35)
            means = curves.thinned(curves.smoothed(points))
            _line(axes, styles[run.name], means, linewidth=1.8)
            at = {row["step"]: place(row) for row in run.steps}
            validation = curves.finite((at[row["step"]], row["validation_loss"]) for row in run.validations if row["step"] in at)
            axes.plot([x for x, _ in validation], [y for _, y in validation], linestyle="", marker=styles[run.name].marker,
                      color=styles[run.name].color, markeredgecolor="white", markeredgewidth=0.5)
            everything += [means, validation]
        _limit(axes, everything)
        axes.set_xlabel(label)
        drawing.si_axis(axes.xaxis)
    panels[0].set_ylabel(_LOSS)
    return figure


def course(runs, styles):
    """Gradient norm, learning rate and tokens a second, against the step."""
    drawn = [run for run in runs if run.steps]
    if not drawn:
        return None
    figure, (panels,) = drawing.panels(drawing.PAGE_WIDTH, 3.2, _shown(drawn, styles), columns=3)
    for axes, (title, key) in zip(panels, (("Gradient norm", "grad_norm"), ("Learning rate", "lr"),
                                           ("Tokens a second", "tokens_per_second")), strict=True):
        for run in drawn:
            points = curves.finite((row["step"], row.get(key)) for row in run.steps)
            _line(axes, styles[run.name], curves.thinned(points), linewidth=1.2)
            for step in run.skipped if key == "grad_norm" else ():
                axes.axvline(step, color=styles[run.name].color, linewidth=0.6, linestyle=(0, (2, 2)))
        values = [y for run in drawn for _, y in curves.finite((row["step"], row.get(key)) for row in run.steps)]
        if key == "grad_norm":
            drawing.decades(axes, [value for value in values if value > 0], "y")
        else:
            axes.set_ylim(bottom=0)
            drawing.si_axis(axes.yaxis)
        axes.set_title(title)
        axes.set_xlabel("step")
        drawing.si_axis(axes.xaxis)
    return figure


def by_position(runs, styles):
    """Of the last validation."""
    drawn = [run for run in runs if run.validations and len(run.validations[-1].get("by_position", ())) > 1]
    if not drawn:
        return None
    figure, ((axes,),) = drawing.panels(6, 3.8, _shown(drawn, styles))
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
