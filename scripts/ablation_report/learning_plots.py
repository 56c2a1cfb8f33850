"""Plots of recall against training tokens. Each function returns a matplotlib figure, or None where
nothing was measured."""

from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from . import drawing, quantities

_FLOOR = {"color": drawing.GREY, "linewidth": 1.1, "linestyle": (0, (2, 2))}
_GOAL = {"color": drawing.GREY, "linewidth": 0.9, "linestyle": (0, (8, 3))}


def by_tokens(of_probe, styles, bands):
    """A panel for each band: every seed thin, the mean of a group thick."""
    goals = of_probe.goals
    if not goals:
        return None
    shown = {name: styles[name] for name in of_probe.groups}
    known = all(goal.floor.known for goal in goals.values())
    shown["floor, no key read" if known else "chance"] = Line2D(
        [], [], **_FLOOR)
    if any(goal.share is not None for goal in goals.values()):
        shown["goal of the table"] = Line2D([], [], **_GOAL)
    figure, (panels,) = drawing.panels(drawing.PAGE_WIDTH * (1 + len(goals)) / 4, 3.4, shown,
                                       columns=len(goals), sharey=True)
    for axes, (band, goal) in zip(panels, goals.items()):
        for name, by_band in of_probe.groups.items():
            if band in by_band:
                _draw_group(axes, styles[name], by_band[band])
        axes.axhline(goal.floor.share, **_FLOOR)
        if goal.share is not None:
            axes.axhline(goal.share, **_GOAL)
        axes.set_title(f"{band}, {quantities.band_range(bands, band)}")
        axes.set_xlabel("training tokens")
        axes.set_xlim(left=0)
        axes.locator_params(axis="x", nbins=5)
        drawing.si_axis(axes.xaxis)
    panels[0].set_ylim(-0.03, 1.03)
    panels[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    panels[0].set_ylabel("exact match")
    return figure


def _draw_group(axes, style, of_band):
    for curve in of_band.curves.values():
        axes.plot(*zip(*curve), color=style.color, linewidth=0.6, alpha=0.55)
    axes.plot(*zip(*of_band.mean_curve), **{**style.line, "linewidth": 2.2})
