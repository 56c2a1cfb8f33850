"""How to read the report, and what cannot be concluded from it."""

from . import findings, intervals, quantities, recall, significance
from .document import Bullets, Section, Subheading


def _own_bands(a_study):
    """Where answers are sorted by each group's own bands."""
    drawn = a_study.bands_of(None, None)
    named = "; ".join(
        f"{group.name} {of_group.window} and {of_group.reach}" for group in a_study.groups
        if "L" in (group.common("layout") or "") and
        (of_group := a_study.bands_of(*group.bands_key)))
    return [
        "d: how many tokens back the fact stands. Bands are those of each group: W is its window, and "
        f"n how many of its layers are local. W and n W: {named or 'none'}. Groups without local "
        f"layers have {drawn.window} and {drawn.reach}, by which questions are drawn.",
        "Control, d ≤ W: any layer of the group sees it. A group that fails here has not learnt the "
        "task, and its failure elsewhere says nothing about its layout.",
        "Relay, W < d ≤ n W: farther than one window, but its local layers can hand it on.",
        "Beyond, d > n W: only its global layers can carry it. A group of local layers must not be "
        "above the floor; if it is, it is marked LEAK.",
        "All groups answer the same questions. A difference from the reference is taken in the bands "
        "of the group, on the same items of both; the figures of two groups in a band are of other "
        "distances, and do not compare."]


def _who_reaches(a_study):
    """Of the bands control and relay, which a study may draw wider than windows are."""
    bands = a_study.bands
    if any(group.common("window_size") < bands.window for group in a_study.groups
           if "L" in (group.common("layout") or "") and group.common("window_size")):
        return ("any group reaches it, those of narrower windows through several layers",
                "farther, but local layers can hand it on")
    return ("any layer sees it", "farther than one window, but local layers can hand it on, "
            f"{bands.layers} layers of {bands.window} tokens each")


def _bands(a_study):
    if a_study.bands.own:
        return _own_bands(a_study)
    bands = a_study.bands
    own = [f"{group.name} ({group.common('window_size')})" for group in a_study.groups
           if "L" in (group.common("layout") or "") and
           group.common("window_size") not in (None, bands.window)]
    control, relay, beyond = (quantities.band_range(bands, band) for band in recall.BANDS)
    of_control, of_relay = _who_reaches(a_study)
    texts = [
        f"d: how many tokens back the fact stands. Control, {control}: {of_control}. A group that "
        "fails here has not learnt the task, and its failure elsewhere says nothing about its "
        "layout.",
        f"Relay, {relay}: {of_relay}.",
        f"Beyond, {beyond}: only global layers can carry it. A group of local layers "
        "must not be above the floor; if it is, its group is marked LEAK. The leak is sought beyond the "
        "group's own reach, which is its layers times its window.",
    ]
    if own:
        texts.append("The bands are the study's; of another window have local layers: "
                     f"{quantities.listed(own)}.")
    return texts


def _statistics(groups, compared):
    level = quantities.whole_percent(intervals.LEVEL)
    texts = [
        f"A figure is the mean over the finished seeds of a group, with its {level} interval. "
        "Validation loss, loss on text, by position, by what is visible and by length are known as one number per seed: "
        "t intervals over seeds, with one degree of freedom less than there are seeds; the text "
        "itself counts as given.",
        "Recall, losses by class of token and by context are means over items (a sequence of a "
        "probe, a window of text, a token), and all seeds of all groups get the same items: seeds "
        "and items are crossed. The variance of such a mean is a part of seeds plus a part of "
        "items, from a two-way analysis of variance, and the squares of their t intervals add up "
        "(the modified large-sample interval).",
        f"Fewer than {intervals.FEWEST_SEEDS} seeds: no interval and no test.",
        "Validation loss: the mean of the last 5 evaluations where at least 20 were made, of the last "
        "3 where at least 6 were, else the last one. Noise of one evaluation: their standard "
        "deviation around that mean, over all seeds; what the loss still fell is part of it.",
        "An interval is of one group. Two that do not touch are no test of a difference, and two "
        "that do say nothing of groups being alike."]
    if compared.family:
        texts.append(
            f"Differences: group minus {compared.reference}, seed by seed and item by item, on the "
            "seeds that both finished. Seeds share initial weights and the order of data, so that "
            "differences are known better than means. Holm's adjustment is over the "
            f"{compared.family} tests of the report, of validation loss and of recall beyond the "
            f"reach at the reference length: in at most {_error()} of studies any of them calls "
            "equal groups different. The smallest difference seen is one that is found in "
            f"{quantities.whole_percent(significance.POWER)} of studies with this scatter, at the "
            "level of the strictest test.")
    return [*texts, *_recall(groups)]


def _error():
    return quantities.whole_percent(significance.ERROR)


def _recall(groups):
    compared = findings.comparisons(groups)
    texts = []
    if any(group.probes for group in groups):
        texts.append(
            "Floor: the best share of hits, among strategies that read no key, on the same answers "
            "(the newest value, a value that occurred an odd number of times, and so on), and at "
            "least chance. Where the results do not say what strategies answer, it is chance, and "
            "nothing about lookup can be concluded.")
        texts.append(
            f"An exact match is counted per answer in {quantities.listed(recall.ANSWER_TASKS)}, "
            "elsewhere per item, of which all answer tokens in the band must be right; floors and "
            "chance are those of what is counted. Points of the plots by distance are means over "
            "bins within the bands; the log-likelihood of chance is that of a uniform guess.")
    if compared:
        texts.append(
            "Above the floor: exact minus the hits of the best strategy, item by item, is above 0 "
            "by a one-sided test with seeds and items crossed, and the hits of a single seed are "
            "more than guessing explains (seeds may guess alike). Holm's adjustment is over the "
            f"{compared} comparisons of this report, at {_error()}. Not above means not shown here; "
            "it does not mean that the group cannot.")
    return texts


def _limits(a_study):
    budget = f"equal {a_study.budget}" if a_study.budget else "what the study set"
    return [
        f"Arms were trained for {budget}. Groups may stand in another order under another budget, "
        "with other learning rates, at another size, or on other text.",
        f"Lengths beyond {a_study.sequence_length} tokens were never trained on: failure there may "
        "be that of positions, not of the layout.",
        "Placement is mixed into the ratio where a layout's only global layer is its first: no layer "
        "before it has joined a key to its value.",
        "Equal validation loss does not mean equal recall: few tokens of a text need facts from "
        "far back. Recall in a probe does not mean that a text's facts are used.",
        "Natural text: tokens that complete a bigram which stands in the context already, by the "
        "distance to it. Such tokens differ between bands in more than distance, so compare groups "
        "within a band, not bands.",
        "Full context minus the last W tokens: cutting the context also removes the text's "
        "beginning, and a model was not trained on cut contexts.",
        "Documents of a text do not see each other where the runs mask them: what a token may use is "
        "the part of its document before it, and its position in the sequence says little.",
        "Tokens that a long context helps are those that help the reference (after LongPPL, arXiv "
        "2410.23771): of what others would find in a long context and the reference does not, nothing is "
        "said.",
        "Measured speed and memory are those of this machine and of these kernels; FLOPs and KV "
        "cache are computed.",
        "Many figures stand side by side. Where a difference matters, repeat it with more seeds.",
    ]


def section(a_study, groups, compared):
    return Section("How to read this, and what cannot be concluded", (
        Subheading("Bands"), Bullets(tuple(_bands(a_study))),
        Subheading("Figures and intervals"), Bullets(tuple(_statistics(groups, compared))),
        Subheading("Limits"), Bullets(tuple(_limits(a_study)))), new_page=True)
