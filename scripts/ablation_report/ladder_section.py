"""The section of a report about its ladder."""

import numpy as np

from . import drawing, ladder_fit, ladder_frontier, ladder_plots, ladder_view, quantities
from .document import Alert, Bullets, Column, FigureCell, GroupCell, Paragraph, Plot, Section, Table
from .quantities import NONE, listed

_LARGEST_LOSS = 20  # nats per token; a law may say anything far from its runs
_LAYOUT = Column("layout", numeric=False)


def section(a_study, styles):
    """Empty for a study without a ladder."""
    if not a_study.ladder:
        return Section("Ladder", ())
    ladder = ladder_view.Ladder(a_study)
    styles = {**drawing.styles(ladder.layouts), **styles}
    parts = [*_alerts(a_study, ladder), Paragraph(_introduction(ladder))]
    svg = drawing.svg("ladder", ladder_plots.by_flops, ladder, styles)
    if svg:
        parts.append(Plot("ladder", svg, "Validation loss against training FLOPs",
                          "Points: runs at the best learning rate, mean over seeds. "
                          + ("" if ladder.lacking else "Lines: the lowest loss that the fitted law gives for a budget, "
                             "shaded its 95 % interval; dashed: the largest run.")))
    if not ladder.lacking:
        parts += [_multipliers(ladder, styles), _views(ladder, styles), _constants(ladder, styles)]
    if ladder.points:
        parts.append(_points(ladder, styles))
    if not ladder.lacking:
        parts.append(Bullets((*_found(ladder), *_limits(ladder))))
    return Section("Ladder", tuple(parts), new_page=True)


def _introduction(ladder):
    if not ladder.points:
        return "No arm of the ladder has finished."
    text = ("Layouts at several sizes, numbers of tokens per parameter and learning rates. Of the learning rates the one "
            "with the lowest validation loss counts, for each layout, size and number of tokens. Parameters are those "
            "that take part in matrix products or norms: an embedding that is no head as well is left out.")
    if ladder.lacking:
        return text
    return (f"{text} L(N, D) = E + A / N^alpha + B / D^beta, with N parameters and D tokens, is fitted to all of them: E, "
            "alpha and beta are common to the layouts, A and B each layout's own.")


def _alerts(a_study, ladder):
    missing = sum(not arm.finished for arm in a_study.arms)
    if missing:
        yield Alert("Unfinished", f"{missing} of {quantities.count(len(a_study.arms), 'arm')} of the ladder have not "
                    "finished; the figures are of the others.")
    if ladder.lacking and ladder.points:
        yield Alert("No law", f"The law cannot be fitted: {ladder.lacking}.")
    if edge := [point for point in ladder.points if point.at_edge]:
        one = [point for point in edge if len(point.rates) == 1]
        yield Alert("Learning rates", (
            f"In {len(edge)} of {quantities.count(len(ladder.points), 'point')} the best learning rate is the lowest or the "
            "highest of those tried" + (f" (in {len(one)} it is the only one)" if one else "") + ", so that a better one "
            "may lie beyond: the frontier is not tuned there, and a layout that wants another rate is worse off. Add rates."))
    if not ladder.lacking and ladder.left_out:
        yield Alert("Left out", f"Too few points for constants of their own: {listed(ladder.left_out)}.")


def _figure(values, form, remarks=()):
    estimate, low, high = ladder_fit.interval(values)
    return FigureCell(form(estimate), f"[{form(low)}, {form(high)}]", tuple(remarks))


def factor(value):
    if value >= 9e3:
        return "> 9,000"
    return "< 0.0002" if value <= 2e-4 else f"{value:.2f}"


def loss(value):
    return quantities.loss_size(value) if value < _LARGEST_LOSS else f"> {_LARGEST_LOSS}"


def number(value):
    return f"{value:.3g}"


def chance(share):
    return quantities.whole_percent(share)


def _verdict(multipliers):
    _, low, high = ladder_fit.interval(multipliers)
    return "needs less" if low > 1 else "needs more" if high < 1 else "no difference shown"


def _multipliers(ladder, styles):
    rows = []
    for layout in ladder.law.layouts:
        best = ladder.optimum(layout)
        values = ladder.multiplier(layout)
        if layout == ladder.reference:
            cell, verdict = "1", "compared with"
        else:
            cell = _figure(values, factor)
            verdict = _verdict(values)
        rows.append((GroupCell(layout, styles[layout]), cell, verdict, _figure(best.losses, loss),
                     *_size(ladder, layout, best), _outside(ladder, layout, best, values[0])))
    return Table(
        "Compute multipliers", (
            _LAYOUT, Column("compute multiplier"), Column("verdict", numeric=False), Column("lowest loss"),
            Column("parameters"), Column("tokens"), Column("extrapolated", numeric=False)), tuple(rows),
        f"At {quantities.si(ladder.budget, 'FLOP')}, the most that every layout has spent on a run. Compute multiplier: "
        f"the FLOPs with which {ladder.reference} reaches the layout's lowest loss for that budget, at the size and the number of "
        "tokens that suit it best, over the budget. Above 1, the layout does as well with less. In brackets: 95 % interval "
        "of the bootstrap. Parameters and tokens: where the fit puts the lowest loss for the budget.")


def _size(ladder, layout, best):
    return quantities.si(best.parameters[0]), quantities.si(best.tokens[0])


def _outside(ladder, layout, best, multiplier=1.0):
    words = ladder_frontier.beyond(ladder.points, layout, best.parameters[0], best.tokens[0])
    own = max(point.flops for point in ladder.of_layout(ladder.reference))
    if multiplier * ladder.budget > 1.01 * own:
        words.append(f"FLOPs of {ladder.reference}")
    return ", ".join(words) or NONE


def _views(ladder, styles):
    views = list(ladder.views())
    columns = [_LAYOUT]
    captions = []
    for view in views:
        value, unit = view.budget
        amount = {"FLOPs": lambda: quantities.si(value, "FLOP"), "seconds": lambda: quantities.seconds(value),
                  "bytes": lambda: quantities.memory(value)}[unit]()
        columns += [Column("loss", f"{view.title}, {amount}"), Column("lowest in", f"{view.title}, {amount}")]
        captions.append(view.title)
    rows = []
    for layout in ladder.law.layouts:
        cells = [GroupCell(layout, styles[layout])]
        for view in views:
            best = view.optima[layout]
            words = ladder_frontier.beyond(ladder.points, layout, best.parameters[0], best.tokens[0])
            cells.append(_figure(best.losses, loss, [f"extrapolated: {', '.join(words)}"] if words else ())
                         if np.isfinite(best.losses[0]) else NONE)
            cells.append(chance(view.chances[layout]))
        rows.append(tuple(cells))
    time = ("Equal time: seconds of training by zebra bench, at the length of training, in the longest run that every "
            "layout made. " if "equal time" in captions else
            "Equal time is not shown: zebra bench has not measured every layout and size at the length of training "
            "(cost_lengths). ")
    return Table("The same layouts at equal budgets", tuple(columns), tuple(rows),
                 "The lowest loss by the fit, and in how many of the fits to drawn runs the layout has the lowest of all. "
                 f"{time}Equal cache: at equal FLOPs, models that hold no more keys and values, at "
                 f"{quantities.length(ladder.longest_length)} tokens, than the layout that needs least at its best size.")


def _constants(ladder, styles):
    constants = ladder.law.constants()
    rows = [("all", *(_figure(constants[name], number) for name in ("E", "alpha", "beta")), NONE, NONE, NONE)]
    for layout in ladder.law.layouts:
        rows.append((GroupCell(layout, styles[layout]), NONE, NONE, NONE,
                     *(_figure(constants[name, layout], number) for name in ("A", "B")),
                     f"{100 * ladder.law.misfit[layout]:.2f} %"))
    return Table("Constants of the law", (
        _LAYOUT, Column("E"), Column("alpha"), Column("beta"), Column("A"), Column("B"), Column("misfit")), tuple(rows),
        "Misfit: root mean square difference of a layout's losses from the fit. Constants hang together, so that each is "
        "known worse than the losses that they give.")


def _points(ladder, styles):
    rows = []
    for point in ladder.points:
        remark = () if not point.at_edge else ("the only one",) if len(point.rates) == 1 else ("at the edge",)
        rows.append((GroupCell(point.layout, styles[point.layout]), point.size, number(point.tokens_per_parameter),
                     FigureCell(f"{point.learning_rate:.3g}", remarks=remark), f"{len(point.rates)}",
                     quantities.loss_size(point.loss), f"{len(point.losses)}", quantities.whole(point.parameters),
                     quantities.whole(point.tokens), quantities.si(point.flops, "FLOP")))
    return Table("Runs at the best learning rate", (
        _LAYOUT, Column("size", numeric=False), Column("tokens per parameter"), Column("best learning rate"),
        Column("rates tried"), Column("loss"), Column("seeds"), Column("parameters"), Column("tokens"),
        Column("training FLOPs")), tuple(rows), "Loss: validation loss, mean over seeds.")


def _found(ladder):
    verdicts = {}
    for layout in ladder.law.layouts:
        if layout != ladder.reference:
            verdicts.setdefault(_verdict(ladder.multiplier(layout)), []).append(layout)
    words = {"needs less": "less compute than {} is needed by", "needs more": "more compute than {} is needed by",
             "no difference shown": "no difference from {} is shown in"}
    found = [f"{words[verdict].format(ladder.reference)} {listed(layouts)}" for verdict, layouts in verdicts.items()]
    if found:
        yield (f"For the same loss, at {quantities.si(ladder.budget, 'FLOP')}: {'; '.join(found)}. Each interval is of one "
               "layout; they are not adjusted for their number.")


def _limits(ladder):
    sizes = [point.parameters for point in ladder.points]
    tokens = [point.tokens for point in ladder.points]
    yield (f"What is said holds for {quantities.si(min(sizes))} to {quantities.si(max(sizes))} parameters and "
           f"{quantities.si(min(tokens))} to {quantities.si(max(tokens))} tokens, this text and this length of sequence. "
           "Beyond them it is a guess by a law that was fitted here; the interval does not cover that the law is another one "
           "there.")
    yield ("Exponents are common to the layouts, so that this fit cannot show a layout that gains or loses with size. A "
           "misfit that is larger than the noise of seeds says that it does.")
    alone = sum(len(point.losses) == 1 for point in ladder.points)
    yield ("The bootstrap draws seeds of a rung anew, the same for all layouts" if not alone else
           "The bootstrap draws residuals of the fit" if alone == len(ladder.points) else
           "The bootstrap draws seeds of a rung anew, and residuals of the fit where there is one seed"
           ) + "; learning rates count as given."
    yield ("Validation loss says little of recall: a layout may need less compute for the same loss and look up less. The "
           "other sections of this report are of the rung that costs most, each layout at its best learning rate.")
