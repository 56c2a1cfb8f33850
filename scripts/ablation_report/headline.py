"""The summary: sentences that follow from the figures and from nothing else."""

from . import bootstrap, findings, quantities, recall
from .document import Alert, Bullets
from .quantities import listed


def _named(names, everyone, everyone_called="groups"):
    """The names, shorter where they are all or nearly all."""
    if not names:
        return "none"
    if len(names) == len(everyone) and len(names) > 2:
        return f"all {len(names)} {everyone_called}"
    missing = [name for name in everyone if name not in names]
    if len(everyone) > 6 and len(missing) <= 3:
        return f"all but {listed(missing)}"
    return listed(names)


def _probe(key):
    return f"{key[0]} at length {key[1]}"


def alerts(a_study, groups, verdicts):
    result = []
    for group in groups:
        of_group = verdicts[group.name]
        if leaks := [key for key, of_probe in of_group.items() if of_probe.leak]:
            result.append(Alert("LEAK", (
                f"{group.name} has local layers only and cannot see farther back than "
                f"{group.group.reach} tokens, yet it is above chance beyond that in "
                f"{listed(map(_probe, leaks))}. Either the mask lets something through, or the "
                "task can be solved without the fact; figures of all groups there are in "
                "doubt.")))
    for group in groups:
        of_group = verdicts[group.name]
        failed = [key for key, of_probe in of_group.items() if of_probe.control_failed]
        if failed:
            result.append(Alert("Control", (
                f"{group.name}, {listed(map(_probe, failed))}: {findings.CONTROL_FAILED}.")))
    missing = dict.fromkeys(key for of_group in verdicts.values()
                            for key, of_probe in of_group.items() if not of_probe.has_control)
    if missing:
        result.append(Alert("No control", (
            f"{listed(map(_probe, missing))}: the control band has no answers. What is above chance "
            "counts; of what is not, nothing can be concluded.")))
    return [*result, *_missing_arms(a_study)]


def _missing_arms(a_study):
    for group in a_study.groups:
        lost = [arm for arm in group.arms if not arm.finished]
        if lost:
            reasons = "; ".join(
                f"seed {arm.seed} {'is unfinished' if arm.state == 'unfinished' else 'failed'}" +
                (f" ({arm.reason})" if arm.reason else "") for arm in lost)
            left = len(group.finished)
            remain = (f"{left} of {quantities.count(len(group.arms), 'seed')} "
                      f"{'remains' if left == 1 else 'remain'}" if left else
                      "no seed remains, and the group has no figures")
            yield Alert("Left out", f"{group.name}: {reasons}. {remain[0].upper()}{remain[1:]}.")


def _loss_sentence(groups):
    found = findings.best_by_validation_loss(groups)
    if found is None:
        return "No validation loss was measured."
    best, alike, apart = found
    loss = best.validation_loss
    text = (f"Lowest validation loss: {best.name}, {quantities.loss(loss.mean)} nats per token"
            f"{_space(quantities.interval(loss, quantities.loss))}, over "
            f"{quantities.count(loss.seeds, 'seed')}.")
    without = [group.name for group in (best, *alike, *apart) if group.validation_loss.low is None]
    if without and alike:
        text += (f" {listed(without)} {'has' if len(without) == 1 else 'have'} no interval: one "
                 "seed cannot tell groups apart.")
    alike = [group for group in alike if group.validation_loss.low is not None]
    everyone = [group.name for group in (*alike, *apart)]
    if apart:
        text += (" Groups with a higher loss, intervals apart (no test, see below): "
                 f"{_named([group.name for group in apart], everyone, 'others')}.")
    if alike and loss.low is not None:
        text += (" Not to be told apart from it by their intervals: "
                 f"{_named([group.name for group in alike], everyone, 'others')}.")
    return text


def _space(text):
    return f" {text}" if text else ""


def _recall_sentences(groups, verdicts, bands):
    """One per outcome: probes that say the same share a sentence."""
    outcomes = {}
    for key in dict.fromkeys(key for group in groups for key in group.probes):
        known = [group for group in groups if key in group.probes]
        everyone = [group.name for group in known]
        parts = []
        for band in recall.BANDS:
            names = findings.by_verdict(groups, verdicts, key, band)
            if names[findings.ABOVE] or names[findings.NOT_ABOVE]:
                parts.append(f"{band} ({quantities.band_range(bands, band)}): "
                             f"{_named(names[findings.ABOVE], everyone)}")
        measured = any(figures.units for group in known
                       for figures in group.probes[key].bands.values())
        text = ("clearly above chance in " + "; ".join(parts) if parts else
                "nowhere clearly above chance" if measured else "nothing was measured")
        if failed := [group.name for group in known if verdicts[group.name][key].control_failed]:
            text += f". Not judged beyond the control: {_named(failed, everyone)}"
        chance = quantities.chance(known[0].probes[key].chance)
        outcomes.setdefault(text, []).append(f"{_probe(key)} (chance {chance})")
    for text, probes in outcomes.items():
        yield f"{listed(probes)}: {text}."


def _context_sentence(groups):
    known = [(group, difference) for group in groups
             if (difference := group.text.context.get("difference")) and
             difference.high is not None]
    if not known:
        return None
    helped = [group.name for group, difference in known if difference.high < 0]
    return ("Natural text: context beyond the last W tokens lowers the loss (interval of full "
            "minus cut below zero) of " + _named(helped, [group.name for group, _ in known]) + ".")


def sentences(a_study, groups, verdicts):
    finished = sum(arm.finished for arm in a_study.arms)
    yield (f"{finished} of {quantities.count(len(a_study.arms), 'arm')} finished, in "
           f"{quantities.count(len(groups), 'group')}.")
    yield _loss_sentence(groups)
    found = list(_recall_sentences(groups, verdicts, a_study.bands))
    yield from found
    if not found:
        yield ("No probe of recall was measured. Loss alone hardly separates ratios of local and "
               "global attention, so nothing is said here about what they recall.")
    if text := _context_sentence(groups):
        yield text


def parts(a_study, groups, verdicts):
    return (*alerts(a_study, groups, verdicts),
            Bullets(tuple(sentences(a_study, groups, verdicts))))


def seeds_sentence(a_study):
    """What so many seeds can show."""
    most = max(len(group.finished) for group in a_study.groups)
    if most < 2:
        return ("No group has more than one finished seed: nothing here says how much a figure "
                "would change with another seed, and no difference between groups is established.")
    return (f"No group has more than {most} finished seeds. An interval over {most} seeds is at "
            "most as wide as their range, and the range of so many seeds holds the median of all "
            f"seeds with a probability of {bootstrap.coverage_of_range(most):.0%} only: intervals "
            "of losses over seeds are too narrow, and intervals that lie apart by little establish "
            "nothing.").replace("%", " %")
