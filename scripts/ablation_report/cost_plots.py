"""Plots of speed and memory by sequence length. Each function returns a matplotlib figure, or None
where nothing was measured."""

from matplotlib.lines import Line2D

from . import drawing, quantities

_PHASES = ("forward", "backward", "optimizer", "prefill", "per_token")


def names(cost, groups=()):
    """{layout of the cost: the group whose layers it has, or itself}. A pattern that several groups
    share names none of them."""
    result = {}
    for row in cost.rows:
        same = [group.name for group in groups if group.common("layout") == row.pattern]
        result[row.layout] = same[0] if len(same) == 1 else row.layout
    return result


def conditions(cost):
    """Where it was measured, to follow a word such as "measured"."""
    threads = quantities.count(cost.threads, "thread") if cost.threads else ""
    known = ", ".join(part for part in (cost.machine, cost.device, threads, cost.precision) if part)
    return f" on {known}" if known else ""


def _positive(values):
    return [value for value in values if value is not None and value > 0]


def by_length(cost, named, styles):
    """Tokens per second and peak memory."""
    fields = [(field, title, form) for field, title, form in (
        ("tokens_per_second", "Tokens per second", quantities.tick),
        ("peak_memory_gib", "Peak memory (GiB)", lambda value: f"{value:g}"))
        if _positive(getattr(row, field) for row in cost.rows)]
    if not fields:
        return None
    shown = {name: styles[name] for name in named.values()}
    width = drawing.PAGE_WIDTH if len(fields) > 1 else 6
    figure, (panels,) = drawing.panels(width, 3.8, shown, columns=len(fields))
    for axes, (field, title, form) in zip(panels, fields):
        for layout, name in named.items():
            _draw(axes, styles[name], cost, layout, lambda row: getattr(row, field))
        axes.set_title(title)
        drawing.log_y(axes, _positive(getattr(row, field) for row in cost.rows), form)
        _length_axis(axes, cost)
    return figure


def measured_and_predicted(cost, named, styles):
    """Seconds of every phase, and measured over predicted below them."""
    phases = [phase for phase in _PHASES if _positive(
        row.seconds.get(phase) for row in cost.rows)]
    phases += sorted({phase for row in cost.rows for phase in row.seconds
                      if phase not in _PHASES and _positive([row.seconds[phase]])})
    if not phases:
        return None
    shown = {name: styles[name] for name in named.values()}
    shown["measured"] = Line2D([], [], color=drawing.GREY, marker="o")
    shown["predicted"] = Line2D([], [], color=drawing.GREY, linestyle=(0, (2, 2)), marker="o",
                                markerfacecolor="white")
    compared = any(_ratio(row, phase) for row in cost.rows for phase in phases)
    width = min(drawing.PAGE_WIDTH, max(2.5 * len(phases), 5))
    ratios = [3, 2] if compared else [1]
    figure, axes = drawing.panels(width, 5.4 if compared else 3.2, shown, rows=len(ratios),
                                  columns=len(phases), sharex="col", height_ratios=ratios)
    for column, phase in enumerate(phases):
        _draw_phase(axes[0][column], cost, named, styles, phase)
        if compared:
            _draw_ratio(axes[1][column], cost, named, styles, phase)
        _length_axis(axes[-1][column], cost)
    axes[0][0].set_ylabel("time")
    if compared:
        axes[1][0].set_ylabel("measured / predicted")
    return figure


def _ratio(row, phase):
    measured, predicted = row.seconds.get(phase), row.predicted_seconds.get(phase)
    return measured / predicted if measured and predicted else None


def _draw_phase(axes, cost, named, styles, phase):
    for layout, name in named.items():
        _draw(axes, styles[name], cost, layout, lambda row: row.seconds.get(phase))
        _draw(axes, styles[name], cost, layout, lambda row: row.predicted_seconds.get(phase),
              linestyle=(0, (2, 2)), linewidth=1.1, markerfacecolor="white", markeredgewidth=1)
    axes.set_title(phase.replace("_", " "))
    drawing.log_y(axes, _positive(seconds.get(phase) for row in cost.rows
                                  for seconds in (row.seconds, row.predicted_seconds)),
                  quantities.seconds_tick)


def _draw_ratio(axes, cost, named, styles, phase):
    for layout, name in named.items():
        _draw(axes, styles[name], cost, layout, lambda row: _ratio(row, phase))
    ratios = [ratio for row in cost.rows if (ratio := _ratio(row, phase))]
    if ratios:
        axes.axhline(1, color=drawing.GREY, linewidth=0.9, linestyle=(0, (4, 2)))
    else:
        axes.text(0.5, 0.5, "no prediction", transform=axes.transAxes, ha="center", va="center",
                  fontsize=8.5, color=drawing.GREY)
    drawing.log_y(axes, [*ratios, 0.8, 1.25], lambda value: f"{value:g}")


def _draw(axes, style, cost, layout, value, **options):
    rows = sorted((row for row in cost.rows if row.layout == layout), key=lambda row: row.length)
    points = [(row.length, value(row)) for row in rows if _positive([value(row)])]
    if points:
        axes.plot(*zip(*points), **{**style.line, **options})


def _length_axis(axes, cost):
    drawing.octaves(axes, [row.length for row in cost.rows])
    axes.set_xlabel("sequence length (tokens)")
