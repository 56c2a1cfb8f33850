"""How to read the report, and what cannot be concluded from it."""

from . import bootstrap, findings, headline, quantities, recall
from .document import Bullets, Section, Subheading


def _bands(a_study):
    bands = a_study.bands
    own = [f"{group.name} ({group.common('window_size')})" for group in a_study.groups
           if "L" in (group.common("layout") or "") and
           group.common("window_size") not in (None, bands.window)]
    control, relay, beyond = (quantities.band_range(bands, band) for band in recall.BANDS)
    texts = [
        f"d: how many tokens back the fact stands. Control, {control}: any layer sees "
        "it. A group that fails here has not learnt the task, and its failure elsewhere says "
        "nothing about its layout.",
        f"Relay, {relay}: farther than one window, but local layers can hand it on, "
        f"{bands.layers} layers of {bands.window} tokens each.",
        f"Beyond, {beyond}: only global layers can carry it. A group of local layers "
        "must be at chance; if it is not, its group is marked LEAK. The leak is sought beyond the "
        "group's own reach, which is its layers times its window.",
    ]
    if own:
        texts.append("The bands are the study's; of another window have local layers: "
                     f"{quantities.listed(own)}.")
    return texts


def _statistics(a_study, groups):
    compared = findings.comparisons(groups)
    texts = [
        f"A figure is the mean over the finished seeds of a group. Its {bootstrap.LEVEL:.0%} "
        f"interval comes from {bootstrap.RESAMPLES:,} bootstrap resamples: seeds are drawn with "
        "replacement, and within every drawn seed its items with replacement (a sequence of a "
        "probe, a window of text, a token of the comparison of contexts). Validation loss, loss on "
        "text, by position and by length are known as one number per seed, so only seeds are "
        "drawn. The draws are seeded by a fixed number and the name of the quantity: the same "
        "results give the same report.".replace("%", " %"),
        headline.seeds_sentence(a_study),
        f"Nominal {bootstrap.LEVEL * 100:.0f} % intervals over 2, 3, 5 and 8 seeds covered the truth in 51, "
        "75, 84 and 89 % of simulated studies, and among four equal groups with three seeds each the "
        "best and another lay apart in a third of them: intervals that do not touch are no test of a "
        "difference.",
        "One seed: an interval of recall is that of its items, and there is none of losses.",
    ]
    if compared:
        error = (1 - bootstrap.LEVEL) / 2 / compared
        texts.append(
            "Clearly above chance: the whole interval lies above chance, and so many hits have a "
            f"binomial probability below {error:.1g} by guessing, which is "
            f"{(1 - bootstrap.LEVEL) / 2:.1%} divided by the {compared} comparisons with chance in "
            "this report. Not above chance means not shown here; it does not mean that the group "
            "cannot. Above chance does not mean that a key was looked up: values that have not been "
            "answered yet, the newest value or any of four needles are right more often than chance "
            "without reading a key (docs/ablations.md has figures).".replace("%", " %"))
        texts.append(
            f"An exact match is counted per answer in {quantities.listed(recall.ANSWER_TASKS)}, "
            "elsewhere per item, of which all answer tokens in the band must be right; chance is "
            "that of what is counted. Points of the plots by distance are means over bins within "
            "the bands; the log-likelihood of chance is that of a uniform guess with this chance.")
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
        "Tokens per second and memory are those of this machine and of these kernels; FLOPs and KV "
        "cache are computed.",
        "Many figures stand side by side. Where a difference matters, repeat it with more seeds.",
    ]


def section(a_study, groups):
    return Section("How to read this, and what cannot be concluded", (
        Subheading("Bands"), Bullets(tuple(_bands(a_study))),
        Subheading("Figures and intervals"), Bullets(tuple(_statistics(a_study, groups))),
        Subheading("Limits"), Bullets(tuple(_limits(a_study)))), new_page=True)
