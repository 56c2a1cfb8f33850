"""The plot of a ladder: loss against training FLOPs."""

import numpy as np
from matplotlib.lines import Line2D

from . import drawing, ladder_fit

_BUDGETS = 25  # of a frontier
_MARGIN = 1.5  # how far a frontier is drawn beyond the runs


def by_flops(ladder, styles):
    """Points of all layouts at their best learning rates and, where there is a law, the frontiers that it gives."""
    if not ladder.points:
        return None
    shown = {layout: styles[layout] for layout in ladder.layouts}
    if not ladder.lacking:
        shown["lowest loss for so many FLOPs, by the fit"] = Line2D([], [], color=drawing.GREY)
    figure, ((axes,),) = drawing.panels(8, 4.4, shown)
    flops = np.array([point.flops for point in ladder.points])
    for layout in ladder.layouts:
        points = ladder.of_layout(layout)
        style = styles[layout]
        axes.plot([point.flops for point in points], [point.loss for point in points], linestyle="",
                  marker=style.marker, color=style.color, markersize=6, markeredgecolor="white", markeredgewidth=0.6)
    if not ladder.lacking:
        budgets = np.geomspace(flops.min(), flops.max() * _MARGIN, _BUDGETS)
        for layout in ladder.law.layouts:
            _frontier(axes, ladder, layout, styles[layout], budgets)
        axes.axvline(flops.max(), color=drawing.GREY, linewidth=0.9, linestyle=(0, (4, 2)))
        axes.text(flops.max(), 1.0, " extrapolation", transform=axes.get_xaxis_transform(), ha="left", va="top",
                  fontsize=8, color=drawing.GREY)
    axes.set_xlabel("training FLOPs of a run")
    axes.set_ylabel("validation loss (nats per token)")
    drawing.decades(axes, flops.tolist())
    return figure


def _frontier(axes, ladder, layout, style, budgets):
    estimates = np.array([ladder_fit.interval(ladder.optimum(layout, budget).losses) for budget in budgets])
    axes.plot(budgets, estimates[:, 0], **{**style.line, "marker": ""})
    axes.fill_between(budgets, estimates[:, 1], estimates[:, 2], color=style.color, alpha=0.14, linewidth=0)
