"""What may be concluded from a study and what may not: sentences that follow from its tests."""

from . import contrasts, findings, intervals, quantities, significance
from .document import Paragraph, Section
from .quantities import listed


def section(a_study, groups, verdicts, compared, references, learnt):
    return Section("What may be concluded", (
        Paragraph(" ".join(may(groups, verdicts, compared, references, learnt))),
        Paragraph(" ".join(may_not(a_study, groups, verdicts, compared, learnt)))))


def may(groups, verdicts, compared, references, learnt):
    yield from _differences(compared)
    known = False
    for key in references.values():
        known |= (yield from _lookup(groups, verdicts, key, learnt.get(key)))
    if references and not known:
        yield "Nothing is shown about looking up keys: no floor is known, or no group was tested."


def _differences(compared):
    if compared.reference is None:
        yield "There is no finished group to compare another with."
        return
    for quantity in dict.fromkeys(test.quantity for test in compared.tests):
        tests = [test for test in compared.tests if test.quantity == quantity]
        parts = [f"is {verdict} in {listed(test.group for test in of_verdict)}"
                 for verdict in (contrasts.LOWER, contrasts.HIGHER)
                 if (of_verdict := [test for test in tests if test.verdict == verdict])]
        if alike := [test for test in tests if test.verdict == contrasts.NO_DIFFERENCE]:
            parts.append(f"shows no difference in {listed(test.group for test in alike)}, "
                         f"{_smallest(alike)}")
        if untested := [test.group for test in tests if test.verdict == contrasts.NOT_TESTED]:
            parts.append(f"is not tested in {listed(untested)}")
        yield f"Against {compared.reference}, {quantity} {'; '.join(parts)}."


def _smallest(tests):
    known = [test.smallest for test in tests if test.smallest is not None]
    if not known:
        return "where nothing varied, so that it is not known what could have been seen"
    form = quantities.loss_size if tests[0].key is None else quantities.points_size
    low, high = form(min(known)), form(max(known))
    unit = "nats per token" if tests[0].key is None else "percentage points"
    return f"where one of {low if low == high else f'{low} to {high}'} {unit} could have been seen"


def _lookup(groups, verdicts, key, learnt):
    """Sentences on one probe; returns whether anything could be tested. `learnt`:
    learning.ProbeLearning or None."""
    of_probe = {name: by_key[key] for name, by_key in verdicts.items() if key in by_key}
    tested = [name for name, verdict in of_probe.items()
              if verdict.floors_known and verdict.bands["beyond"] not in (
                  findings.NOT_MEASURED, findings.NOT_TESTED)]
    if tested:
        able = [name for name in tested if of_probe[name].conclusive("beyond") and
                of_probe[name].bands["beyond"] == findings.ABOVE]
        floor = max((group.probes[key].bands["beyond"].floor for group in groups
                     if group.name in tested), key=lambda each: each.share)
        yield (f"{key.text}: keys are looked up beyond the reach of windows, above what "
               f"{floor.name} gets without reading one ({quantities.percent(floor.share)}), by "
               f"{listed(able) or 'no group'}.")
    failed = [name for name, verdict in of_probe.items() if verdict.control_failed]
    in_part = {name: seeds for name in failed if (seeds := _seeds_that_learnt(learnt, name))}
    if none := [name for name in failed if name not in in_part]:
        yield f"Not learnt is {key.text} by {listed(none)}."
    for name, seeds in in_part.items():
        yield (f"{name} has learnt {key.text} in {seeds}, too few for a mean of which something "
               "could be said.")
    return bool(tested)


def _seeds_that_learnt(learnt, name):
    """Such as "3 of 5 seeds"; None where none has come to the goal of the control."""
    of_group = learnt.groups.get(name, {}) if learnt else {}
    times = of_group["control"].times.values() if "control" in of_group else ()
    reached = sum(time.reached for time in times)
    return f"{reached} of {quantities.count(len(times), 'seed')}" if reached else None


def may_not(a_study, groups, verdicts, compared, learnt):
    yield ("Not to be concluded: that two groups differ because their intervals do not touch, or "
           "are alike because these do.")
    if any(test.verdict == contrasts.NO_DIFFERENCE for test in compared.tests):
        yield (f"No difference shown does not mean none: one of the size given is found in "
               f"{quantities.whole_percent(significance.POWER)} of such studies, a smaller one less "
               "often.")
    if few := few_seeds(a_study):
        yield few
    all_verdicts = [verdict for of_group in verdicts.values() for verdict in of_group.values()]
    if any(verdict.control_failed for verdict in all_verdicts):
        yield "Where a group has not learnt a task, its recall says nothing about its layout."
    if late := _late(groups, learnt):
        yield ("Not reached by the last checkpoint does not mean never: "
               f"{listed(late)} may have needed more tokens.")
    if any(not verdict.floors_known for verdict in all_verdicts):
        yield ("The results do not say what strategies that read no key would get, so floors are not "
               "known and recall is compared with chance: nothing about lookup can be concluded.")
    yield (f"Only {quantities.count(compared.family, 'difference')} from the reference "
           f"and {quantities.count(findings.comparisons(groups), 'comparison')} of recall are "
           "tests; all other figures are descriptions.")


def _late(groups, learnt):
    """Names of groups with a seed that did not come to a goal, those of local layers apart where they
    cannot see."""
    return [group.name for group in groups if any(
        not time.reached for of_probe in learnt.values()
        for band, of_band in of_probe.groups.get(group.name, {}).items()
        if not (group.group.all_local and band == "beyond") for time in of_band.times.values())]


def few_seeds(a_study):
    """Said once, of groups that have no intervals; None where all have them."""
    few = {}
    for group in a_study.groups:
        if 0 < len(group.finished) < intervals.FEWEST_SEEDS:
            few.setdefault(len(group.finished), []).append(group.name)
    if not few:
        return None
    named = "; ".join(f"{listed(names)} ({quantities.count(seeds, 'seed')}: not tested)"
                      for seeds, names in few.items())
    return ("Fewer than three seeds do not say how much seeds differ, so there is no interval and no "
            f"test of {named}.")
