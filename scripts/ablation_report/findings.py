"""What the figures say and what they do not: verdicts on bands, leaks, failed controls."""

import dataclasses

from . import bootstrap, measures

ABOVE, NOT_ABOVE, NOT_MEASURED = "above", "not above", "not measured"
CONTROL_FAILED = "control failed: nothing can be concluded from its other bands"
_ERROR = (1 - bootstrap.LEVEL) / 2


@dataclasses.dataclass(frozen=True)
class Verdicts:
    """Of a group in one probe."""
    bands: dict  # name: ABOVE, NOT_ABOVE or NOT_MEASURED
    leak: bool  # local layers only, and above chance farther back than they can reach

    @property
    def control_failed(self):
        return self.bands["control"] == NOT_ABOVE

    @property
    def has_control(self):
        return self.bands["control"] != NOT_MEASURED

    def conclusive(self, band):
        """Being above chance needs no control; not being so says something only beside one."""
        if band == "control":
            return True
        return not self.control_failed if self.has_control else self.bands[band] == ABOVE


def _ranges(figures):
    return [*figures.bands.values(),
            *([figures.beyond_own_reach] if figures.beyond_own_reach else [])]


def comparisons(groups):
    """How often this report compares a recall with chance."""
    return sum(1 for group in groups for figures in group.probes.values()
               for figure in _ranges(figures) if figure.units)


def _verdict(figures, chance, error):
    if not figures.units:
        return NOT_MEASURED
    above = (figures.exact.low > chance and
             bootstrap.binomial_tail(figures.hits, figures.units, chance) < error)
    return ABOVE if above else NOT_ABOVE


def verdicts(groups):
    """{group name: {(task, length): Verdicts}}. Clearly above chance is what has its whole interval
    above chance and a binomial tail that many comparisons do not explain: an interval from a
    handful of items may have no width at all."""
    error = _ERROR / max(1, comparisons(groups))
    result = {}
    for group in groups:
        result[group.name] = {
            key: Verdicts(
                {band: _verdict(of_range, figures.chance, error)
                 for band, of_range in figures.bands.items()},
                figures.beyond_own_reach is not None and
                _verdict(figures.beyond_own_reach, figures.chance, error) == ABOVE)
            for key, figures in group.probes.items()}
    return result


def reference_probes(a_study):
    """{task: (task, length)}: at the longest length that training has seen, else the shortest."""
    result = {}
    for task, length in measures.probe_keys(a_study):
        known = [of_task for name, of_task in measures.probe_keys(a_study) if name == task]
        seen = [of_task for of_task in known if of_task <= a_study.sequence_length]
        result[task] = (task, max(seen) if seen else min(known))
    return result


def best_by_validation_loss(groups):
    """(the group with the lowest loss, the groups whose interval overlaps with its, the others);
    None where nothing was measured. Groups without an interval are among the first."""
    measured = [group for group in groups if group.validation_loss]
    if not measured:
        return None
    best = min(measured, key=lambda group: group.validation_loss.mean)
    alike, apart = [], []
    for group in measured:
        if group is not best:
            low, high = group.validation_loss.low, best.validation_loss.high
            (apart if low is not None and high is not None and low > high else alike).append(group)
    return best, alike, apart


def by_verdict(groups, all_verdicts, key, band):
    """Names of the groups of each verdict on a band; "inconclusive" for those without one."""
    result = {ABOVE: [], NOT_ABOVE: [], NOT_MEASURED: [], "inconclusive": []}
    for group in groups:
        verdict = all_verdicts[group.name].get(key)
        if verdict:
            kind = verdict.bands[band] if verdict.conclusive(band) else "inconclusive"
            result[kind].append(group.name)
    return result
