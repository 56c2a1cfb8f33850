"""The main table as papers print it: one for each task, narrow enough for a column or two."""

from . import findings, measures, quantities, recall, tables
from .document import Column, FigureCell, GroupCell, LayoutCell, Table
from .quantities import NONE


def main(a_study, groups, styles, verdicts, references):
    """A Table for each reference probe; one of losses alone where there is none."""
    keys = list(references.values()) or [None]
    return tuple(_table(a_study, groups, styles, verdicts, key) for key in keys)


def _table(a_study, groups, styles, verdicts, key):
    columns = [Column("group", numeric=False), Column("layout", numeric=False), Column("seeds"),
               Column("loss")]
    if key:
        columns.extend(Column(quantities.band_range(a_study.bands, band), "exact match")
                       for band in recall.BANDS)
    rows = [_row(group, styles, verdicts, key) for group in groups if group.group.finished]
    if key:
        rows.append(_floor_row([measures.highest_floor(groups, key, band) for band in recall.BANDS]))
    return Table("", tuple(columns), tuple(rows), _caption(a_study, key))


def _floor_row(floors):
    known = all(floor.known for floor in floors if floor)
    return ("no key read" if known else "chance", "", "", "",
            *(quantities.percent(floor.share) if floor else NONE for floor in floors))


def _row(group, styles, verdicts, key):
    cells = [GroupCell(group.name, styles[group.name]),
             LayoutCell(group.group.common("layout") or ""), str(len(group.group.finished)),
             tables.loss_cell(group, group.validation_loss)]
    if key:
        of_probe = verdicts[group.name].get(key)
        cells.extend(_recall(group.probes[key].bands[band], of_probe.bands[band],
                             of_probe.conclusive(band)) if of_probe else NONE
                     for band in recall.BANDS)
    return tuple(cells)


def _recall(figures, verdict, conclusive):
    if not figures.units:
        return NONE
    return FigureCell(quantities.percent(figures.exact.mean),
                      quantities.percent_interval(figures.exact),
                      faint=verdict != findings.ABOVE or not conclusive)


def _caption(a_study, key):
    losses = (f"{a_study.name}: validation loss in nats per token, mean over seeds and 95 % t interval"
              " over seeds.")
    if key is None:
        return losses
    return (f"{losses} Exact match in {key.text} by the distance d to the fact, mean and 95 % "
            "interval over seeds and items; †: not above what reads no key, not tested, or not "
            "conclusive. Intervals of two groups are no test of a difference.")
