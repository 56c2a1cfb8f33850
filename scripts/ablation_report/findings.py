"""What the figures of recall say and what they do not: verdicts on bands, leaks, failed controls."""

import dataclasses

from . import significance

ABOVE, NOT_ABOVE = "above", "not above"
NOT_MEASURED = "not measured"  # no answers, or reading no key gets them all
NOT_TESTED = "not tested"  # too few seeds
CONTROL_FAILED = "not learnt on average: nothing can be concluded from the other bands"
_OWN_REACH = "beyond own reach"


@dataclasses.dataclass(frozen=True)
class Verdicts:
    """Of a group in one probe."""
    bands: dict  # name: ABOVE, NOT_ABOVE, NOT_TESTED or NOT_MEASURED
    leak: bool  # local layers only, and above the floor farther back than they can reach
    floors_known: bool

    @property
    def control_failed(self):
        return self.bands["control"] == NOT_ABOVE

    @property
    def has_control(self):
        return self.bands["control"] != NOT_MEASURED

    def conclusive(self, band):
        """Being above the floor needs no control; not being so says something only beside one."""
        if self.bands[band] == NOT_TESTED:
            return False
        if band == "control":
            return True
        return not self.control_failed if self.has_control else self.bands[band] == ABOVE


def _ranges(figures):
    own = {_OWN_REACH: figures.beyond_own_reach} if figures.beyond_own_reach else {}
    return {**figures.bands, **own}


def p_above_floor(figures):
    """Of being so far above the floor without looking anything up. Seeds may all guess alike, so the
    hits of one seed alone must be more than guessing explains, too: a handful of items that happen
    to be right have no variance. None where nothing can be tested."""
    if not _tells(figures) or not figures.excess.tested:
        return None
    seeds = figures.exact.seeds
    of_one_seed = significance.binomial_tail(figures.hits // seeds, figures.units // seeds,
                                             figures.floor.share)
    return max(figures.excess.p_above(), of_one_seed)


def _adjusted(groups):
    """{(group name, study.ProbeKey, range): p as Holm adjusts it}"""
    found = {(group.name, key, name): p for group in groups
             for key, figures in group.probes.items()
             for name, of_range in _ranges(figures).items()
             if (p := p_above_floor(of_range)) is not None}
    return dict(zip(found, significance.holm(list(found.values()))))


def comparisons(groups):
    """How often this report tests a recall against its floor."""
    return len(_adjusted(groups))


def _tells(figures):
    """Nothing can be above a floor of 100 %, which the newest value has in a window of one pair."""
    return figures.units and figures.floor.share < 1.0


def _verdict(figures, p):
    if not _tells(figures):
        return NOT_MEASURED
    if p is None:
        return NOT_TESTED
    return ABOVE if p < significance.ERROR else NOT_ABOVE


def verdicts(groups):
    """{group name: {study.ProbeKey: Verdicts}}"""
    adjusted = _adjusted(groups)
    result = {}
    for group in groups:
        result[group.name] = {}
        for key, figures in group.probes.items():
            of_ranges = {name: _verdict(of_range, adjusted.get((group.name, key, name)))
                         for name, of_range in _ranges(figures).items()}
            leak = of_ranges.pop(_OWN_REACH, None) == ABOVE
            known = all(of_range.floor.known for of_range in figures.bands.values()
                        if of_range.floor)
            result[group.name][key] = Verdicts(of_ranges, leak, known)
    return result


def reference_probes(a_study):
    """{name of a probe: its study.ProbeKey}: at the longest length that training has seen, else the
    shortest."""
    result = {}
    for key in a_study.probe_keys:
        known = [of_task for of_task in a_study.probe_keys if of_task.name == key.name]
        seen = [of_task for of_task in known if of_task.length <= a_study.sequence_length]
        result[key.name] = (max if seen else min)(seen or known, key=lambda each: each.length)
    return result


def by_verdict(groups, all_verdicts, key, band):
    """Names of the groups of each verdict on a band; "inconclusive" for those without one."""
    result = {ABOVE: [], NOT_ABOVE: [], NOT_MEASURED: [], NOT_TESTED: [], "inconclusive": []}
    for group in groups:
        verdict = all_verdicts[group.name].get(key)
        if verdict:
            kind = verdict.bands[band]
            if kind != NOT_TESTED and not verdict.conclusive(band):
                kind = "inconclusive"
            result[kind].append(group.name)
    return result
