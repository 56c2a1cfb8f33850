"""Differences of every group from the reference group, paired by seed and by item.

Seeds share the order of data and the initial weights across groups, and all groups get the same
items: what both have in common cancels in the difference, so that it is known better than either
mean. Groups are compared on the seeds that both finished.
"""

import dataclasses

from . import intervals, items, key_tokens, measures, recall, significance, study
from .intervals import Estimate

LOWER, HIGHER, NO_DIFFERENCE = "lower", "higher", "no difference shown"
NOT_TESTED = "not tested"


@dataclasses.dataclass(frozen=True)
class Test:
    """One difference that the report gives a verdict on."""
    group: str
    quantity: str
    key: study.ProbeKey | None  # of a probe; None: validation loss
    difference: Estimate
    p: float | None  # as Holm adjusts it; None: too few common seeds
    smallest: float | None  # difference that the study could have seen, where that is known

    @property
    def verdict(self):
        if self.p is None:
            return NOT_TESTED
        if self.p >= significance.ERROR:
            return NO_DIFFERENCE
        return LOWER if self.difference.mean < 0 else HIGHER


@dataclasses.dataclass(frozen=True)
class Contrast:
    """Of one group with the reference; entries are None where either lacks the quantity."""
    group: study.Group
    seeds: tuple[int, ...]  # that both finished
    all_seeds: bool  # neither has finished others
    validation_loss: Estimate | None
    text_loss: Estimate | None
    by_position: dict  # (begin, end): Estimate
    by_visible: dict  # the same
    by_length: dict  # length: Estimate
    classes: dict  # of tokens: Estimate
    key_tokens: Estimate | None  # those of the reference
    recall: dict  # (study.ProbeKey, band): Estimate, at the reference length of each task


@dataclasses.dataclass(frozen=True)
class Contrasts:
    reference: str | None  # None: nothing to compare with
    of_groups: dict  # name: Contrast; without the reference
    tests: tuple[Test, ...]

    @property
    def family(self):
        """How many tests Holm's adjustment is over."""
        return sum(test.p is not None for test in self.tests)


def reference(a_study):
    """The study's own choice, else the group of global layers only, else the first; None if it has
    no finished arm."""
    finished = [group for group in a_study.groups if group.finished]
    if a_study.contrast:
        return next((group for group in finished if group.name == a_study.contrast), None)
    return next((group for group in finished if set(group.common("layout") or "") == {"G"}),
                finished[0] if finished else None)


def of_study(a_study, groups, probe_keys):
    """`groups`: GroupFigures; `probe_keys`: whose recall is compared."""
    compared = reference(a_study)
    others = [group for group in groups if group.group.finished and
              compared is not None and group.name != compared.name]
    if not others:
        return Contrasts(None, {}, ())
    base = next(group for group in groups if group.name == compared.name)
    chosen = key_tokens.chosen_by(compared)
    of_groups = {group.name: _contrast(group, base, probe_keys, chosen) for group in others}
    return Contrasts(compared.name, of_groups, _tests(of_groups))


def _by_seed(group):
    return {arm.seed: arm for arm in group.group.finished}


def _contrast(group, base, probe_keys, chosen):
    arms, others = _by_seed(group), _by_seed(base)
    seeds = tuple(sorted(arms.keys() & others.keys()))
    pairs = [(arms[seed], others[seed]) for seed in seeds]
    texts = [(arm.text, other.text) for arm, other in pairs if arm.text and other.text]
    return Contrast(
        group.group, seeds, arms.keys() == others.keys(),
        _paired([tuple(map(measures.validation_loss, pair)) for pair in pairs]),
        _paired([(text.loss, other.loss) for text, other in texts]),
        *(_paired_points([tuple(measures.positions(text, field) for text in pair)
                          for pair in texts]) for field in ("by_position", "by_visible")),
        _paired_points([tuple(map(measures.lengths, pair)) for pair in texts]),
        _classes(texts), _key_tokens(group, base, chosen), _recall(group, base, probe_keys))


def _paired(pairs):
    return intervals.over_seeds([first - second for first, second in pairs
                                 if first is not None and second is not None])


def _paired_points(pairs):
    """{key: Estimate} of the points that all runs have."""
    runs = [points for pair in pairs for points in pair]
    common = set.intersection(*map(set, runs)) if runs else ()
    return {key: difference for key in sorted(common)
            if (difference := _paired([(first[key], second[key]) for first, second in pairs]))}


def _over_items(pairs):
    """`pairs`: ((items, totals, counts) of a run, the same of its partner)"""
    if not pairs:
        return None
    (totals, counts), _ = items.shared([run for pair in pairs for run in pair])
    return intervals.difference_over_items((totals[::2], counts[::2]), (totals[1::2], counts[1::2]))


def _classes(texts):
    result = {}
    for kind in study.CLASSES:
        runs = [tuple(measures.class_of_tokens(text, kind) for text in pair) for pair in texts]
        difference = _over_items([pair for pair in runs if None not in pair])
        if difference:
            result[kind] = difference
    return result


def _key_tokens(group, base, chosen):
    own, others = (key_tokens.losses(figures.group, chosen) for figures in (group, base))
    return _over_items([(own[seed], others[seed]) for seed in sorted(own.keys() & others.keys())])


def _recall(group, base, probe_keys):
    """In the bands of the group, whatever those of the reference: both answer the same items."""
    result = {}
    for key in probe_keys:
        if key in group.probes and key in base.probes:
            own, others = ({seed: recall.matches(probe, group.probes[key].limits)
                            for seed, probe in figures.probes[key].probes.items()}
                           for figures in (group, base))
            for column, band in enumerate(recall.BANDS):
                pairs = [tuple((numbers, hits[:, column], units[:, column])
                               for numbers, hits, units in (own[seed], others[seed]))
                         for seed in sorted(own.keys() & others.keys())]
                if difference := _over_items(pairs):
                    result[key, band] = difference
    return result


def _tests(of_groups):
    """Of the headline quantities only: the more tests, the less each of them can see."""
    found = [(name, "validation loss", None, contrast.validation_loss)
             for name, contrast in of_groups.items() if contrast.validation_loss]
    keys = dict.fromkeys(key for contrast in of_groups.values() for key, _ in contrast.recall)
    found.extend((name, f"recall beyond the reach in {key.text}", key, difference)
                 for key in keys for name, contrast in of_groups.items()
                 if (difference := contrast.recall.get((key, "beyond"))))
    tested = [difference for *_, difference in found if difference.tested]
    adjusted = iter(significance.holm([difference.p_two_sided() for difference in tested]))
    return tuple(Test(*test, *(
        (next(adjusted), significance.smallest_difference(test[-1], len(tested)))
        if test[-1].tested else (None, None))) for test in found)
