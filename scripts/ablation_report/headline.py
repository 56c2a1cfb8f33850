"""The summary: sentences that follow from the figures and from nothing else."""

from . import findings, quantities, recall
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


def _texts(keys):
    return listed(key.text for key in keys)


def alerts(a_study, groups, verdicts):
    """Each kind of trouble once, with all that it holds for."""
    result = []
    leaks = [(group, keys) for group in groups
             if (keys := [key for key, of_probe in verdicts[group.name].items() if of_probe.leak])]
    if leaks:
        named = "; ".join(f"{group.name}, which cannot see farther back than {group.group.reach} "
                          f"tokens, in {_texts(keys)}" for group, keys in leaks)
        result.append(Alert("LEAK", (
            f"Local layers only, and yet above {_floor_word(verdicts)} beyond their reach: {named}. "
            "Either the mask lets something through, or the task can be solved without the fact; "
            "figures of all groups there are in doubt.")))
    failures = {}
    for name, of_group in verdicts.items():
        if failed := tuple(key for key, of_probe in of_group.items() if of_probe.control_failed):
            failures.setdefault(failed, []).append(name)
    if failures:
        named = "; ".join(f"{listed(names)}, {_texts(keys)}" for keys, names in failures.items())
        result.append(Alert("Control", f"{named}: {findings.CONTROL_FAILED}."))
    missing = dict.fromkeys(key for of_group in verdicts.values()
                            for key, of_probe in of_group.items() if not of_probe.has_control)
    if missing:
        result.append(Alert("No control", (
            f"{_texts(missing)}: the control band has no answers, or reading no key gets them all. "
            f"What is above {_floor_word(verdicts)} counts; of what is not, nothing can be concluded.")))
    if lost := list(_missing_arms(a_study)):
        result.append(Alert("Left out", " ".join(lost)))
    return result


def _floor_word(verdicts):
    known = all(of_probe.floors_known for of_group in verdicts.values()
                for of_probe in of_group.values())
    return "the floor" if known else "chance"


def _missing_arms(a_study):
    """Sentences on each group that lacks some."""
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
            yield f"{group.name}: {reasons}. {remain[0].upper()}{remain[1:]}."


def _loss_sentence(groups):
    measured = [group for group in groups if group.validation_loss]
    if not measured:
        return "No validation loss was measured."
    best = min(measured, key=lambda group: group.validation_loss.mean)
    loss = best.validation_loss
    interval = quantities.interval(loss, quantities.loss)
    return (f"Lowest mean validation loss: {best.name}, {quantities.loss(loss.mean)} nats per token"
            f"{' ' if interval else ''}{interval}, over {quantities.count(loss.seeds, 'seed')}.")


def _recall_sentences(groups, verdicts, bands):
    """One per outcome: probes that say the same share a sentence."""
    outcomes = {}
    for key in dict.fromkeys(key for group in groups for key in group.probes):
        known = [group for group in groups if key in group.probes]
        outcomes.setdefault(_outcome(known, verdicts, key, bands), []).append(key)
    for text, keys in outcomes.items():
        yield f"{_texts(keys)}: {text}."


def _outcome(known, verdicts, key, bands):
    everyone = [group.name for group in known]
    parts, untested = [], {}
    for band in recall.BANDS:
        names = findings.by_verdict(known, verdicts, key, band)
        untested.update(dict.fromkeys(names[findings.NOT_TESTED]))
        if names[findings.ABOVE] or names[findings.NOT_ABOVE]:
            parts.append(f"{band} ({quantities.band_range(bands, band)}): "
                         f"{_named(names[findings.ABOVE], everyone)}")
    measured = any(figures.units for group in known for figures in group.probes[key].bands.values())
    word = "the floor" if all(verdicts[name][key].floors_known for name in everyone) else "chance"
    texts = [f"above {word} in " + "; ".join(parts) if parts else
             "" if untested else f"nowhere above {word}" if measured else "nothing was measured"]
    if failed := [name for name in everyone if verdicts[name][key].control_failed]:
        texts.append(f"not judged beyond the control: {_named(failed, everyone)}")
    if untested:
        texts.append(f"not tested: {_named(list(untested), everyone)}")
    return ". ".join(text if index == 0 else f"{text[0].upper()}{text[1:]}"
                     for index, text in enumerate(filter(None, texts)))


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


def parts(a_study, groups, verdicts):
    return (*alerts(a_study, groups, verdicts),
            Bullets(tuple(sentences(a_study, groups, verdicts))))
