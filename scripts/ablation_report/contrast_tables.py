"""The tables of differences from the reference group."""

from . import quantities, recall
from .document import Column, FigureCell, GroupCell, Table
from .quantities import NONE


def _form(key):
    return quantities.loss_difference if key is None else quantities.points


def _difference(estimate, form):
    if estimate is None:
        return NONE
    return FigureCell(form(estimate.mean), quantities.interval(estimate, form))


def _seeds(contrast, estimate):
    """How many; which, where they are not all that both groups have finished."""
    if contrast.all_seeds:
        return str(estimate.seeds)
    common = quantities.listed(map(str, contrast.seeds)) or "none"
    return FigureCell(str(estimate.seeds), remarks=(f"common: {common}",))


def tested(compared, styles):
    """One row per test."""
    if compared.reference is None:
        return None
    rows = []
    for test in compared.tests:
        form = _form(test.key)
        smallest = quantities.loss_size if test.key is None else quantities.points_size
        rows.append((
            test.quantity, GroupCell(test.group, styles[test.group]),
            _seeds(compared.of_groups[test.group], test.difference),
            _difference(test.difference, form), quantities.p_value(test.p), test.verdict,
            NONE if test.smallest is None else smallest(test.smallest)))
    columns = (Column("quantity", numeric=False), Column("group", numeric=False),
               Column("seeds"), Column("difference"), Column("p"),
               Column("verdict", numeric=False), Column("could have seen"))
    return Table(
        f"Differences from {compared.reference}", columns, tuple(rows),
        "Group minus reference, paired by seed and by item, with its 95 % t interval: nats per "
        "token, or percentage points of exact matches. p: as Holm adjusts it for all tests of this "
        "table. Could have seen: the smallest true difference that such a study finds in 80 % of cases."
        + _unequal(compared))


def _unequal(compared):
    if all(contrast.all_seeds for contrast in compared.of_groups.values()):
        return ""
    return (" Groups whose seeds are not all those of the reference are compared on the common ones, "
            "which are named.")


def described(compared, styles):
    """Differences of what the report gives no verdict on."""
    if compared.reference is None:
        return None
    columns = _described_columns(compared)
    rows = []
    for name, contrast in compared.of_groups.items():
        cells = [_difference(value(contrast), form) for _, value, form in columns]
        if any(cell != NONE for cell in cells):
            rows.append((GroupCell(name, styles[name]), *cells))
    if not rows:
        return None
    heads = (Column("group", numeric=False), *(column for column, _, _ in columns))
    return Table(
        f"Further differences from {compared.reference}", heads, tuple(rows),
        "Paired like those above. No verdicts: among so many intervals of 95 %, one in twenty misses "
        "the truth.")


def _described_columns(compared):
    """(Column, function of a Contrast that gives an Estimate or None, form)"""
    found = compared.of_groups.values()
    columns = [(Column("loss on text"), lambda contrast: contrast.text_loss,
                quantities.loss_difference)]
    columns.extend(
        (Column(kind, "loss by class of token"), lambda contrast, kind=kind:
         contrast.classes.get(kind), quantities.loss_difference)
        for kind in dict.fromkeys(kind for contrast in found for kind in contrast.classes))
    columns.append((Column("key tokens"), lambda contrast: contrast.key_tokens,
                    quantities.loss_difference))
    keys = dict.fromkeys(key for contrast in found for key, _ in contrast.recall)
    columns.extend(
        (Column(band, f"{key.text}: points"), lambda contrast, entry=(key, band):
         contrast.recall.get(entry), quantities.points)
        for key in keys for band in recall.BANDS)
    return [column for column in columns if any(column[1](contrast) for contrast in found)]
