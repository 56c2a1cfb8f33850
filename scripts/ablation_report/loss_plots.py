"""Plots of losses. Each function returns a matplotlib figure, or None where nothing was
measured."""

import math

import numpy as np

from . import drawing, quantities, study

_LOSS = "loss (nats per token)"


def by_flops(groups, styles):
    """All of training, and its second half enlarged."""
    drawn = [group for group in groups if group.curve]
    if not drawn:
        return None
    figure, ((whole, end),) = drawing.panels(drawing.PAGE_WIDTH, 4.0, _shown(drawn, styles),
                                             columns=2)
    flops = [value for group in drawn for value in group.curve.training_flops]
    half = max(flops) / 2
    losses = []
    for group in drawn:
        curve = group.curve
        for axes in (whole, end):
            drawing.line(axes, styles[group.name], curve.training_flops, curve.losses,
                         len(drawn) <= drawing.MOST_FILLED)
        losses.extend(value for x, loss in zip(curve.training_flops, curve.losses)
                      if loss and x >= half
                      for value in (loss.low, loss.mean, loss.high) if value is not None)
    drawing.decades(whole, [value for value in flops if value > 0])
    drawing.si_axis(end.xaxis)
    if losses and max(flops) > 0:
        margin = max(0.04 * (max(losses) - min(losses)), 0.005)
        end.set_ylim(min(losses) - margin, max(losses) + margin)
        end.set_xlim(half, max(flops) + 0.02 * half)
    whole.set_title("All of training")
    end.set_title("Second half, enlarged")
    whole.set_ylabel(f"{drawn[0].curve.kind} {_LOSS}")
    for axes in (whole, end):
        axes.set_xlabel("training FLOPs")
    return figure


def _middle(borders):
    """Counted from one, so that the first has a place on a logarithmic axis."""
    begin, end = borders
    return math.sqrt((begin + 1) * end)


def by_position(groups, styles, compared):
    return _against_length(groups, styles, compared, "by_position", _middle,
                           "position in the sequence, from 1", None)


def by_visible(groups, styles, compared):
    return _against_length(groups, styles, compared, "by_visible", _middle,
                           "tokens of the document in the context, from 1", None)


def has_visible(groups):
    """Whether the results tell of what is visible: where documents are masked, a position is not."""
    return any(group.text.by_visible for group in groups)


def by_length(groups, styles, compared, sequence_length):
    return _against_length(groups, styles, compared, "by_length", float,
                           "length of the sequence (tokens)", sequence_length)


def has_differences(compared, field):
    return any(getattr(contrast, field) for contrast in compared.of_groups.values())


def _against_length(groups, styles, compared, field, place, label, sequence_length):
    """Losses, and their difference from the reference, which shows what losses hide."""
    drawn = [group for group in groups if getattr(group.text, field)]
    if not drawn:
        return None
    differences = has_differences(compared, field)
    figure, (panels,) = drawing.panels(drawing.PAGE_WIDTH if differences else 6, 3.8,
                                       _shown(drawn, styles), columns=2 if differences else 1)
    filled = len(drawn) <= drawing.MOST_FILLED
    for group in drawn:
        points = getattr(group.text, field)
        drawing.line(panels[0], styles[group.name], [place(key) for key, _ in points],
                     [loss for _, loss in points], filled)
    panels[0].set_title("Loss")
    panels[0].set_ylabel(_LOSS)
    if differences:
        _draw_differences(panels[1], styles, compared, field, place, filled)
    values = [place(key) for group in drawn for key, _ in getattr(group.text, field)]
    for axes in panels:
        axes.set_xlabel(label)
        drawing.octaves(axes, values)
        if sequence_length:
            drawing.extrapolation(axes, sequence_length)
    return figure


def _draw_differences(axes, styles, compared, field, place, filled):
    for name, contrast in compared.of_groups.items():
        points = getattr(contrast, field)
        drawing.line(axes, styles[name], [place(key) for key in points], list(points.values()),
                     filled)
    axes.axhline(0, color=styles[compared.reference].color, linewidth=1.2)
    axes.set_title(drawing.wrapped(f"Loss minus that of {compared.reference}, seed by seed"))
    axes.set_ylabel("difference (nats per token)")


def classes(groups):
    return [kind for kind in study.CLASSES if any(kind in group.text.classes for group in groups)]


def by_class(groups, styles, bands):
    """One panel per class of tokens, one row per group."""
    drawn = [group for group in groups if group.text.classes]
    kinds = classes(drawn)
    if not kinds:
        return None
    figure, panels = _rows(drawn, len(kinds))
    for axes, kind in zip(panels, kinds):
        for row, group in enumerate(drawn):
            if loss := group.text.classes.get(kind):
                drawing.point(axes, styles[group.name], row, loss, across=True)
        where = "other tokens" if kind == "rest" else quantities.band_range(bands, kind)
        axes.set_title(f"{kind}\n{where}")
        axes.set_xlabel("nats per token")
    return figure


def context_difference(groups, styles):
    drawn = [group for group in groups if group.text.context.get("difference")]
    if not drawn:
        return None
    figure, (axes,) = _rows(drawn, 1)
    for row, group in enumerate(drawn):
        loss = group.text.context["difference"]
        drawing.point(axes, styles[group.name], row, loss, across=True)
    axes.axvline(0, color=drawing.GREY, linewidth=0.9, linestyle=(0, (4, 2)))
    axes.set_xlabel("loss with full context minus loss with the last W tokens (nats per token)")
    return figure


def _rows(drawn, columns):
    """Panels that share one row per group, with the groups' names at the left."""
    figure, panels = drawing.panels(max(2.4 * columns + 2, 7), 0.9 + 0.26 * len(drawn), {},
                                    columns=columns, sharey=True)
    axes = panels[0][0]
    axes.set_yticks(np.arange(len(drawn)), [drawing.wrapped(group.name) for group in drawn],
                    color="#1c1c1c")
    axes.set_ylim(len(drawn) - 0.5, -0.5)
    for each in panels[0]:
        each.locator_params(axis="x", nbins=5)
        each.tick_params(axis="y", length=0)
    return figure, panels[0]


def _shown(groups, styles):
    return {group.name: styles[group.name] for group in groups}
