"""Tests that are made together, and what a test could have seen."""

import math

import numpy as np
from scipy import special

ERROR = 0.05  # the chance that a family of tests calls anything a difference that is none
POWER = 0.8


def holm(p_values):
    """Holm's adjusted p values: each may be compared with ERROR, however many there are."""
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def smallest_difference(estimate, tests):
    """The true difference that one of so many tests finds in POWER of studies like this one, at the
    level that the strictest of them has to pass (ERROR / tests); None where nothing varied, so
    that nothing is known about what does."""
    multiples = []
    for part in estimate.parts:
        critical = -special.stdtrit(part.freedom, ERROR / tests / 2)
        multiples.append(special.nctdtrinc(part.freedom, 1 - POWER, critical))
    return math.sqrt(sum(multiple**2 * part.variance
                         for multiple, part in zip(multiples, estimate.parts))) or None


def binomial_tail(hits, trials, chance):
    """The probability of at least `hits` successes in `trials` independent trials."""
    return float(special.bdtrc(hits - 1, trials, chance)) if hits > 0 else 1.0
