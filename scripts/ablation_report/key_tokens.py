"""Loss on the tokens that a long context helps, in the manner of LongPPL (Fang et al., What is Wrong
with Perplexity for Long-context Language Modeling?, 2024, arXiv 2410.23771).

Key tokens are those that the reference group predicts better with the whole context than with the
short one. All groups are measured on the same ones. For a run of seed s they are chosen by the
reference's runs of other seeds: a run that chose its own would be judged on the tokens where its
luck was best.
"""

import numpy as np

from . import intervals, items

LEAST_GAIN = 1.0  # nats: with the whole context the token is e times as likely


def _contexts(group):
    return {arm.seed: arm.text.long_context for arm in group.finished
            if arm.text and arm.text.long_context and len(arm.text.long_context.full)}


def chosen_by(reference):
    """{seed: which of the tokens are key tokens for runs of it, or None where there is no other run to
    tell}; the seed None stands for all that the reference has no run of. Empty where nothing can be
    chosen."""
    gains = {seed: context.cut - context.full for seed, context in _contexts(reference).items()}
    if len({len(gain) for gain in gains.values()}) != 1:
        return {}
    result = {}
    for seed in (None, *gains):
        others = [gain for other, gain in gains.items() if other != seed]
        result[seed] = np.mean(others, axis=0) >= LEAST_GAIN if others else None  # False for NaN
    return result


def losses(group, chosen):
    """{seed: (numbers of the tokens, nats, how many)} of key tokens with their whole context."""
    result = {}
    for seed, context in _contexts(group).items():
        keys = chosen[seed] if seed in chosen else chosen.get(None)
        if keys is not None and len(keys) == len(context.full):
            counted = keys & np.isfinite(context.full)
            result[seed] = (np.arange(len(keys)), np.where(counted, context.full, 0.0),
                            counted.astype(float))
    return result


def figure(group, chosen):
    """An intervals.Estimate, or None."""
    runs = losses(group, chosen)
    if not runs:
        return None
    (nats, tokens), _ = items.shared(list(runs.values()))
    return intervals.over_items(nats, tokens)


def share(chosen):
    """Of key tokens among those that were asked for; None where nothing was chosen."""
    known = [keys.mean() for keys in chosen.values() if keys is not None]
    return float(np.mean(known)) if known else None
