"""What several runs did with the same items, side by side."""

import functools

import numpy as np


def shared(runs):
    """(one array [runs, items, ...] for each array of a run, how many items are left out because
    some run does not have them). `runs`: [(sorted numbers of the items, array [items, ...], ...)]
    """
    numbers = [run[0] for run in runs]
    common = functools.reduce(np.intersect1d, numbers)
    everything = functools.reduce(np.union1d, numbers)
    arrays = [np.stack([values[np.isin(own, common)] for own, values in zip(numbers, of_runs)])
              for of_runs in list(zip(*runs))[1:]]
    return arrays, everything.size - common.size
