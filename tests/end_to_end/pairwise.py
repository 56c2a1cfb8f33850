"""Few rows of a table of choices that still hold every pair of values of any two columns."""

import itertools


def allowed_pairs(factors, is_allowed):
    rows = [row for row in itertools.product(*factors.values()) if is_allowed(dict(zip(factors, row)))]
    pairs = {pair for row in rows for pair in itertools.combinations(enumerate(row), 2)}
    return rows, pairs


def pairwise(factors, is_allowed=lambda row: True):
    """Greedily takes the first allowed row that covers the most pairs not yet covered: the same rows every time."""
    rows, missing = allowed_pairs(factors, is_allowed)
    chosen = []
    while missing:
        best = max(rows, key=lambda row: len(missing & set(itertools.combinations(enumerate(row), 2))))
        missing -= set(itertools.combinations(enumerate(best), 2))
        chosen.append(dict(zip(factors, best)))
    return chosen


def all_rows(factors, is_allowed=lambda row: True):
    return [dict(zip(factors, row)) for row in allowed_pairs(factors, is_allowed)[0]]
