"""Plots of recall. Each function returns a matplotlib figure, or None where nothing was
measured."""

import math

from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from . import drawing, quantities, recall

_FLOOR = {"color": drawing.GREY, "linewidth": 1.1, "linestyle": (0, (2, 2))}
_CHANCE = {"color": drawing.LIGHT_GREY, "linewidth": 1.1, "linestyle": (0, (1, 2))}


def by_distance(groups, styles, key, bands):
    """Exact match and log-likelihood of one task at one length against distance."""
    drawn = [(group, group.probes[key]) for group in groups if key in group.probes]
    bins = [a_bin for a_bin, _ in drawn[0][1].bins]
    if not bins:
        return None
    first = drawn[0][1]
    chance = f"chance, {quantities.chance(first.chance)}"
    shown = {group.name: styles[group.name] for group, _ in drawn}
    if _floor_differs(first):
        shown["floor: the best strategy that reads no key"] = Line2D([], [], **_FLOOR)
        shown[chance] = Line2D([], [], **_CHANCE)
    else:
        shown[chance] = Line2D([], [], **_FLOOR)
    figure, ((exact, likelihood),) = drawing.panels(drawing.PAGE_WIDTH, 3.9, shown, columns=2)
    filled = len(drawn) <= drawing.MOST_FILLED
    for group, figures in drawn:
        x = [a_bin.middle for a_bin, _ in figures.bins]
        for axes, field in ((exact, "exact"), (likelihood, "log_likelihood")):
            drawing.line(axes, styles[group.name], x,
                         [getattr(of_bin, field) for _, of_bin in figures.bins], filled)
    _draw_floor(exact, [figures for _, figures in drawn])
    guess = _log_likelihood_of_guess(first)
    if guess is not None:
        likelihood.axhline(guess, **(_CHANCE if _floor_differs(first) else _FLOOR))
    exact.set_ylim(-0.03, 1.03)
    exact.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    exact.set_ylabel("exact match")
    likelihood.set_ylabel("log-likelihood (nats per answer token)")
    for axes in (exact, likelihood):
        axes.set_xlabel("distance d to the fact (tokens)")
        drawing.octaves(axes, [max(bins[0].first, 1), bins[-1].last])
        if not bands.own:
            _mark_bands(axes, bands)
    return figure


def _floor_differs(figures):
    """From chance, in some bin."""
    return any(of_bin.floor and of_bin.floor.strategy for _, of_bin in figures.bins)


def floor_words(groups, key):
    """What the dashed lines of by_distance are."""
    figures = next(group.probes[key] for group in groups if key in group.probes)
    if not _floor_differs(figures):
        return "Dashed: chance."
    names = dict.fromkeys(of_bin.floor.name for _, of_bin in figures.bins if of_bin.floor)
    return (f"Dashed: floor of each bin, the best of what reads no key (here "
            f"{quantities.listed(names)}), of the group where it is highest; dotted: chance.")


def _draw_floor(axes, of_groups):
    """A step for each bin, the highest of the groups; chance as a faint second line where it is
    another."""
    first = of_groups[0]
    if not _floor_differs(first):
        axes.axhline(first.chance, **_FLOOR)
        return
    axes.axhline(first.chance, **_CHANCE)
    for column, (a_bin, _) in enumerate(first.bins):
        floors = [figures.bins[column][1].floor for figures in of_groups]
        if shares := [floor.share for floor in floors if floor]:
            axes.hlines(max(shares), max(a_bin.first, 1) - 0.5, a_bin.last + 0.5, **_FLOOR)


def _log_likelihood_of_guess(figures):
    """Per answer token, of answers guessed with their chance; None where they vary in length."""
    if not figures.tokens_per_unit or figures.chance <= 0:
        return None
    return math.log(figures.chance) / figures.tokens_per_unit


def _mark_bands(axes, bands):
    low, high = axes.get_xlim()
    for index, (name, (first, last)) in enumerate(recall.limits(bands).items()):
        # The border lies between the last distance of one band and the first of the next.
        begin, end = max(first - 0.5, low), min(last + 0.5, high)
        if begin >= end:
            continue
        if index == 1:
            axes.axvspan(begin, end, facecolor="#f3f3f3", linewidth=0, zorder=0)
        if begin > low:
            axes.axvline(begin, color="#888888", linewidth=0.8)
        axes.text(math.sqrt(begin * end), 1.02, name, transform=axes.get_xaxis_transform(),
                  ha="center", va="bottom", fontsize=8.5, color="#444444", style="italic")
    axes.set_xlim(low, high)


def frontier(groups, styles, references, bands):
    """Quality against training FLOPs: validation loss, and recall beyond the reach of windows."""
    panels = []
    losses = [(group, group.validation_loss) for group in groups if group.validation_loss]
    if losses:
        panels.append(("Validation loss", losses, None))
    for name, key in references.items():
        points = [(group, group.probes[key].bands["beyond"].exact) for group in groups
                  if key in group.probes and group.probes[key].bands["beyond"].exact]
        if points:
            where = f"length {key.length}, {quantities.band_range(bands, 'beyond')}"
            panels.append((f"{drawing.wrapped(name)}\n{where}", points,
                           max((group.probes[key].bands["beyond"].floor for group, _ in points),
                               key=lambda floor: floor.share)))
    panels = [(title, [(group.mean("training_flops"), group, figure) for group, figure in points
                       if group.mean("training_flops") is not None], floor)
              for title, points, floor in panels]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return None
    rows = math.ceil(len(panels) / 4)
    columns = math.ceil(len(panels) / rows)
    drawn = {group.name for _, points, _ in panels for _, group, _ in points}
    shown = {group.name: styles[group.name] for group in groups if group.name in drawn}
    shown["no group has a better mean for fewer FLOPs"] = Line2D([], [], color="#aaaaaa", linewidth=1.2)
    if floors := [floor for _, _, floor in panels if floor]:
        shown["floor" if any(floor.known for floor in floors) else "chance"] = Line2D(
            [], [], **_FLOOR)
    figure, axes = drawing.panels(min(drawing.PAGE_WIDTH, 3.7 * max(columns, 2)), 3.3 * rows,
                                  shown, rows=rows, columns=columns)
    for each, (title, points, floor) in zip(axes.flat, panels):
        _draw_frontier(each, styles, title, points, floor)
    for each in axes.flat[len(panels):]:
        each.remove()
    return figure


def _draw_frontier(axes, styles, title, points, floor):
    sign = 1 if floor is None else -1  # of what is better when lower
    best, x, y = math.inf, [], []
    for flops, _, figure in sorted(points, key=lambda p: (p[0], sign * p[2].mean)):
        if sign * figure.mean < best:
            best = sign * figure.mean
            x.append(flops)
            y.append(figure.mean)
    axes.step(x, y, where="post", color="#aaaaaa", linewidth=1.2, zorder=1)
    for flops, group, figure in points:
        drawing.point(axes, styles[group.name], flops, figure)
    axes.set_title(title)
    axes.set_xlabel("training FLOPs")
    drawing.decades(axes, [flops for flops, _, _ in points])
    if axes.get_xscale() == "linear":
        axes.locator_params(axis="x", nbins=5)
    if floor is None:
        axes.set_ylabel("loss (nats per token)")
    else:
        axes.axhline(floor.share, **_FLOOR)
        axes.set_ylim(-0.03, 1.03)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
        axes.set_ylabel("exact match")
