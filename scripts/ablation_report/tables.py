"""The tables of the report."""

from . import findings, measures, quantities, recall
from .document import Column, FigureCell, GroupCell, LayoutCell, StateCell, Table
from .quantities import NONE

_NOT_ABOVE = "not above it"  # stands below the floor


def loss_cell(group, figure, form=quantities.loss):
    if figure is None:
        return NONE
    fewer = ((f"of {quantities.count(figure.seeds, 'seed')}",)
             if figure.seeds < len(group.group.finished) else ())
    return FigureCell(form(figure.mean), quantities.interval(figure, form), fewer)


def _seeds(group):
    return f"{len(group.group.finished)} of {len(group.group.arms)}"


def _lead(group, styles):
    """The cells that every table of groups begins with."""
    return (GroupCell(group.name, styles[group.name]),
            LayoutCell(group.group.common("layout") or ""))


_LEAD = (Column("group", numeric=False), Column("layout", numeric=False))


def costs(groups, styles):
    lengths = sorted({int(key) for group in groups for arm in group.group.arms
                      for key in arm.key_value_cache_bytes})
    columns = (*_LEAD, Column("window"), Column("parameters"), Column("training FLOPs"),
               Column("FLOPs per token"), Column("peak memory"),
               *(Column(quantities.length(length), "KV cache at") for length in lengths))
    rows = []
    for group in groups:
        of_group = group.group
        memory = group.mean("peak_memory_gib")
        cache = of_group.common("key_value_cache_bytes") or {}
        has_local = "L" in (of_group.common("layout") or "L")
        rows.append((
            *_lead(group, styles),
            quantities.whole(of_group.common("window_size")) if has_local else NONE,
            quantities.si(of_group.common("parameters")),
            quantities.si(group.mean("training_flops")),
            quantities.si(of_group.common("training_flops_per_token")),
            NONE if memory is None else quantities.memory(memory * 2**30),
            *(quantities.memory(cache.get(str(length))) for length in lengths)))
    return Table("What the groups cost", columns, tuple(rows),
                 "Dark layers are global, light ones local; the first layer is at the left. "
                 "Training FLOPs and peak memory are means over finished seeds. The window is that of "
                 "the local layers. Speed is not among them: arms may have shared the machine with "
                 "each other; zebra bench measures it alone.")


def recall_cell(figures, verdict, conclusive, with_count=False):
    """An exact match, with its floor and what it says beside it."""
    if figures is None or not figures.units:
        return NONE
    floor = figures.floor
    remarks = [f"{floor.name} {quantities.chance(floor.share)}"]
    if with_count:
        remarks[0] += f", n = {figures.units:,}"
    if verdict == findings.NOT_ABOVE:
        remarks.append(_NOT_ABOVE)
    if verdict == findings.NOT_TESTED:
        remarks.append(_untested(figures.exact.seeds))
    elif not conclusive:
        remarks.append("inconclusive")
    return FigureCell(quantities.percent(figures.exact.mean),
                      quantities.percent_interval(figures.exact), tuple(remarks),
                      verdict != findings.ABOVE or not conclusive)


def _untested(seeds):
    return f"{quantities.count(seeds, 'seed')}: not tested"


def _noise_cell(group):
    """Of one evaluation, and how many a validation loss is the mean of."""
    if not group.evaluations:
        return NONE
    if group.noise is None:
        return FigureCell(NONE, remarks=("the last one only",))
    return FigureCell(quantities.loss_size(group.noise), remarks=(f"mean of {group.evaluations}",))


def qualities(groups, styles, verdicts, references):
    """Validation loss, and recall per band at the reference length of each task."""
    columns = [*_LEAD, Column("seeds"), Column("validation loss"),
               Column("noise of one evaluation")]
    for name, key in references.items():
        columns.extend(Column(band, f"{name}, length {key.length}: exact match")
                       for band in recall.BANDS)
    rows = []
    for group in groups:
        cells = [*_lead(group, styles), _seeds(group), loss_cell(group, group.validation_loss),
                 _noise_cell(group)]
        for key in references.values():
            figures, of_probe = group.probes.get(key), verdicts[group.name].get(key)
            cells.extend(
                recall_cell(figures.bands[band], of_probe.bands[band], of_probe.conclusive(band))
                if figures else NONE
                for band in recall.BANDS)
        rows.append(tuple(cells))
    return Table("What the groups learn", tuple(columns), tuple(rows),
                 "Mean over finished seeds and its 95 % interval in brackets; no interval of fewer than "
                 "three seeds. Validation loss: the mean of the last evaluations, beside the standard "
                 "deviation of one around it. In parentheses after a recall: the best strategy that "
                 "reads no key, and its share. Grey: nothing can be concluded from it, or it is not "
                 "above that. Intervals of two groups are no test of a difference.")


def task(groups, styles, verdicts, key, bands):
    """Bands x groups of one probe."""
    known = [group for group in groups if key in group.probes]
    if not known:
        return None
    chance = known[0].probes[key].chance
    ranges = {band: f"{band}, {quantities.band_range(bands, band)}" for band in recall.BANDS}
    columns = (_LEAD[0], *(Column("exact match", ranges[band]) if kind == "exact" else
                           Column("nats per token", ranges[band])
                           for band in recall.BANDS for kind in ("exact", "log_likelihood")),
               Column("verdict", numeric=False))
    rows = []
    for group in known:
        figures, of_probe = group.probes[key], verdicts[group.name][key]
        cells = [GroupCell(group.name, styles[group.name])]
        for band in recall.BANDS:
            of_band = figures.bands[band]
            cells.append(recall_cell(of_band, of_probe.bands[band], of_probe.conclusive(band),
                                     with_count=True))
            cells.append(_likelihood_cell(of_band))
        cells.append(_verdict(of_probe))
        rows.append(tuple(cells))
    counted = "answer" if key.task in recall.ANSWER_TASKS else "item"
    left_out = max(group.probes[key].items_left_out for group in known)
    unpaired = (f" Left out are items that not every seed of a group was asked, at most {left_out}."
                if left_out else "")
    return Table(f"{key.text} (chance {quantities.chance(chance)})", columns,
                 tuple(rows), f"An exact match is counted per {counted}; n: how many of all seeds. "
                 "Nats per token: log-likelihood of the right answer tokens." + unpaired)


def _likelihood_cell(figures):
    if figures.log_likelihood is None:
        return NONE
    form = quantities.signed_loss
    left_out = ((f"{quantities.count(figures.not_finite, 'token')} not finite",)
                if figures.not_finite else ())
    return FigureCell(form(figures.log_likelihood.mean),
                      quantities.interval(figures.log_likelihood, form), left_out)


def _verdict(of_probe):
    words = ["LEAK"] if of_probe.leak else []
    if not of_probe.has_control:
        words.append("no control")
    if of_probe.control_failed:
        return "; ".join([*words, "not learnt on average"])
    if findings.NOT_TESTED in of_probe.bands.values():
        return "; ".join([*words, "not tested: too few seeds"])
    above = [band for band in recall.BANDS if of_probe.bands[band] == findings.ABOVE]
    floor = "the floor" if of_probe.floors_known else "chance"
    return "; ".join([*words, f"above {floor}: {quantities.listed(above) or 'none'}"])


def losses(title, caption, groups, styles, columns):
    """`columns`: (heading, function of a group that gives an Estimate or None, form)."""
    rows = tuple((GroupCell(group.name, styles[group.name]),
                  *(loss_cell(group, value(group), form) for _, value, form in columns))
                 for group in groups)
    return Table(title, (_LEAD[0], *(Column(name) for name, _, _ in columns)), rows, caption)


def arms(a_study, styles):
    columns = (Column("arm", numeric=False), Column("group", numeric=False), Column("seed"),
               Column("state", numeric=False), Column("steps"), Column("tokens"),
               Column("validation loss"), Column("time"), Column("settings", numeric=False))
    rows = []
    for arm in a_study.arms:
        loss = measures.validation_loss(arm)
        steps = quantities.whole(arm.step)
        if arm.steps is not None and arm.step != arm.steps:
            steps += f" of {quantities.whole(arm.steps)}"
        rows.append((arm.name, GroupCell(arm.group, styles[arm.group]), str(arm.seed),
                     StateCell(arm.state, arm.reason), steps, quantities.whole(arm.tokens),
                     NONE if loss is None else quantities.loss(loss),
                     quantities.seconds(arm.seconds), _settings(arm.settings)))
    return Table("", columns, tuple(rows),
                 "Arms that failed or are unfinished are left out of every mean. Time: with whatever "
                 "else the machine did.")


def _settings(settings):
    return ", ".join(f"{key} = {value}" for key, value in settings.items()) or NONE
