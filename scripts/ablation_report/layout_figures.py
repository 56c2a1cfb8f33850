"""The figures that papers show, one panel each: loss and recall against the share of global layers,
and against the window. Each function returns a matplotlib figure, or None where there are fewer than
two shares or windows."""

import math

from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from . import drawing, layouts, quantities

_FLOOR = {"color": drawing.GREY, "linewidth": 1.0, "linestyle": (0, (2, 2))}
_PLAIN = "o"
_MARKERS = ("<", ">", "D", "s", "^", "v", "P", "X")  # of placements
_LEANING = {layouts.FIRST: "<", layouts.LAST: ">", layouts.INSIDE: "D"}
_MOST_APART, _SPREAD = 0.16, 0.6  # of the distance of two shares: two groups of a share, and all


def against_share(places, quantity):
    """`places`: layouts.Place of each group; `quantity`: a Quantity."""
    points = _points(places, quantity)
    shares = sorted({place.share for place, _ in points})
    if len(shares) < 2:
        return None
    x = _side_by_side(points, shares)
    lines = dict.fromkeys((place.series, place.placement) for place, _ in points
                          if place.placement is not None)
    colors = _colors(place.series for place, _ in points if place.window is not None)
    markers = _markers(placement for _, placement in lines)
    figure, axes = drawing.column_panel({
        **_color_entries(colors),
        **{placement: Line2D([], [], color=drawing.GREY, linestyle="", marker=marker)
           for placement, marker in markers.items()}, **_common_entries(points, quantity)})
    for place, estimate in points:
        color = colors.get(place.series, drawing.GREY)
        marker = markers.get(place.placement, _PLAIN)
        drawing.point(axes, drawing.Style(color, (), marker), x[place], estimate)
    for series, placement in lines or dict.fromkeys((place.series, None) for place, _ in points):
        of_line = [(place, estimate) for place, estimate in points
                   if _on_line(place, series, placement)]
        if placement is None or placement in layouts.REPEATED:
            _join(axes, [(x[place], estimate) for place, estimate in of_line],
                  colors.get(series, drawing.GREY))
    axes.set_xticks(range(len(shares)), [_share(share) for share in shares])
    axes.set_xlim(-0.4, len(shares) - 0.6)
    axes.set_xlabel("share of global layers")
    _finish(axes, quantity)
    return figure


def against_window(places, quantity):
    """Groups without a window are horizontal lines."""
    points = _points(places, quantity)
    windowed = [(place, estimate) for place, estimate in points if place.window is not None]
    windows = sorted({place.window for place, _ in windowed})
    if len(windows) < 2:
        return None
    names = {place: place.layout_name for place, _ in points}
    marked = {names[place] for place, _ in windowed}
    styles = drawing.styles(dict.fromkeys(names.values()))
    figure, axes = drawing.column_panel({
        **{name: Line2D([], [], color=style.color, marker=style.marker if name in marked else "")
           for name, style in styles.items()}, **_common_entries(points, quantity)})
    for name, style in styles.items():
        of_name = [(place, estimate) for place, estimate in points if names[place] == name]
        for place, estimate in of_name:
            if place.window is not None:
                drawing.point(axes, style, place.window, estimate)
                continue
            axes.axhline(estimate.mean, color=style.color)
            if estimate.low is not None:
                axes.axhspan(estimate.low, estimate.high, color=style.color, alpha=0.12, linewidth=0)
        _join(axes, [(place.window, estimate) for place, estimate in of_name
                     if place.window is not None], style.color)
    drawing.octaves(axes, windows)
    axes.set_xlabel("window W of local layers (tokens)")
    _finish(axes, quantity)
    return figure


def _points(places, quantity):
    return [(place, estimate) for place in places if (estimate := quantity.of(place.group))]


def _side_by_side(points, shares):
    """{place: x}, groups of the same share around it."""
    result = {}
    for index, share in enumerate(shares):
        same = [place for place, _ in points if place.share == share]
        apart = min(_MOST_APART, _SPREAD / len(same))
        result.update({place: index + apart * (order - (len(same) - 1) / 2)
                       for order, place in enumerate(same)})
    return result


def _on_line(place, series, placement):
    """Layouts of one kind of layers belong to every placement, those without a window to every
    series of the same other settings."""
    if place.window is None:
        return place.series.others == series.others
    return place.series == series and place.placement in (None, placement)


def _join(axes, points, color):
    points = sorted(points, key=lambda point: point[0])
    axes.plot([x for x, _ in points], [estimate.mean for _, estimate in points], color=color,
              zorder=1)


def _colors(series):
    return {each: style.color for each, style in drawing.styles(dict.fromkeys(series)).items()}


def _color_entries(colors):
    """Named where there are several."""
    if len(colors) < 2:
        return {}
    return {series.name: Line2D([], [], color=color) for series, color in colors.items()}


def _markers(placements):
    placements = list(dict.fromkeys(placements))
    free = [marker for marker in _MARKERS if marker not in _LEANING.values()]
    others = [placement for placement in placements if placement not in _LEANING]
    return {placement: _LEANING[placement] if placement in _LEANING else
            free[others.index(placement) % len(free)] for placement in placements}


def _common_entries(points, quantity):
    entries = {}
    if quantity.floor:
        entries["floor, no key read" if quantity.floor.known else "chance"] = Line2D(
            [], [], **_FLOOR)
    if any(estimate.low is not None for _, estimate in points):
        entries[quantity.interval] = Line2D([], [], color=drawing.GREY, linestyle="", marker="|",
                                            markersize=9)
    return entries


def _finish(axes, quantity):
    axes.set_ylabel(quantity.label)
    if quantity.is_share:
        axes.axhline(quantity.floor.share, **_FLOOR)
        axes.set_ylim(-0.03, 1.03)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))


def _share(share):
    if share == 0:
        return "0\nall local"
    return "1\nall global" if share == 1 else f"{share.numerator}/{share.denominator}"
