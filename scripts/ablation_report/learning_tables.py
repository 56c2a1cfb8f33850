"""The table of tokens until recall."""

import math

from . import intervals, learning, quantities
from .document import Column, FigureCell, GroupCell, Table
from .quantities import NONE


def tokens_until(of_probe, key, bands, styles, reference):
    """One row per group; None where no band has enough answers. `reference`: name of the group that
    times are compared with, or None."""
    goals = {band: goal for band, goal in of_probe.goals.items() if goal.share is not None}
    if not goals:
        return None
    compared = reference in of_probe.groups
    columns = [Column("group", numeric=False)]
    for band, goal in goals.items():
        over = (f"{band}, {quantities.band_range(bands, band)}: exact match of "
                f"{quantities.percent(goal.share)}")
        columns.extend([Column("tokens", over), *([Column(f"of {reference}'s", over)] * compared)])
    rows = []
    for name, by_band in of_probe.groups.items():
        cells = [GroupCell(name, styles[name])]
        for band in goals:
            of_band = by_band.get(band)
            cells.append(_until(of_band.times) if of_band else NONE)
            if compared:
                base = of_probe.groups[reference].get(band)
                cells.append(_ratio(of_band.times, base.times)
                             if of_band and base and name != reference else NONE)
        rows.append(tuple(cells))
    return Table(f"{key.text}: tokens until recall", tuple(columns), tuple(rows),
                 _caption(goals, compared and reference))


def _until(times):
    seeds = list(times.values())
    if all(time.reached for time in seeds):
        tokens = learning.until(seeds)
        few = ((quantities.count(len(seeds), "seed"),) if len(seeds) < intervals.FEWEST_SEEDS else ())
        return FigureCell(quantities.si(tokens.mean), _interval(tokens, quantities.si), few)
    reached = sum(time.reached for time in seeds)
    latest = max(time.before for time in seeds if not time.reached)
    remark = f"{reached} of {quantities.count(len(seeds), 'seed')}"
    middle = learning.median(seeds)
    if middle is None:
        return FigureCell(f"> {quantities.si(latest)}", remarks=(remark,), faint=True)
    return FigureCell(f"median {quantities.si(middle)}",
                      remarks=(f"{remark}, others > {quantities.si(latest)}",))


def _ratio(own, others):
    ratio = learning.ratio(own, others)
    if ratio is None:
        return NONE
    return FigureCell(_times(ratio.mean), _interval(ratio, _times))


def _times(value):
    return f"{quantities.significant(value, 2)}×"


def _interval(tokens, form):
    if tokens.low is None:
        return ""
    high = "∞" if tokens.high == math.inf else form(tokens.high)
    return f"[{form(tokens.low)}, {high}]"


def _caption(goals, reference):
    known = all(goal.floor.known for goal in goals.values())
    floor = "the floor (the best strategy that reads no key)" if known else "chance"
    compared = (f" Of {reference}'s: tokens of the group over those of {reference}, seed by seed, "
                "where all common seeds of both reached it, with its interval." if reference else "")
    return (
        f"Training tokens at the first kept checkpoint whose exact match is halfway from {floor} to "
        "100 %, or above. Where all seeds reached it: geometric mean and 95 % t interval of the "
        "logarithm over seeds, from the last checkpoint below to the first one above, so that the "
        "distance of checkpoints is in it; fewer than three seeds: no interval. Where not all did, "
        "those seeds are censored: how many reached it, and the median over all seeds if it is "
        "known, else > the tokens of the last checkpoint." + compared +
        " These figures describe; they are not among the tests.")
