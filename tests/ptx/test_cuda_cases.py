"""The fixed list holds what it promises."""

import itertools

from .cuda_cases import cuda_cases

LENGTHS = (1, 2, 17, 63, 64, 65, 127, 200, 513, 1000)
WINDOWS = (0, 1, 15, 16, 63, 64, 100, 512)
VALUES = {"head_size": (32, 64, 96, 128), "key_heads": (1, 2), "group": (1, 4, 8), "batch": (1, 2), "rotary": (0, 1, 2),
          "documents": (False, True), "is_float32": (False, True)}
# One token takes three cases, and there are four head sizes.
LEFT_OUT = {(("length", 1), ("head_size", 128))}


def seen(length, window):
    """Windows that hide nothing are all the same one."""
    return "all" if window >= length - 1 else window


def test_at_most_sixty_cases_hold_every_pair_of_values():
    cases = list(cuda_cases())
    assert len(cases) <= 60
    pairs = set()
    for case in cases:
        own = [("length", case.length), ("window", case.window)] + [(name, getattr(case, name)) for name in VALUES]
        pairs.update(itertools.combinations(own, 2))
        pairs.add(("seen", case.length, seen(case.length, case.window)))
    for length, window in itertools.product(LENGTHS, (*WINDOWS, 1000)):
        assert ("seen", length, seen(length, window)) in pairs
    factors = [("length", LENGTHS), ("window", WINDOWS), *VALUES.items()]
    for (first, first_values), (second, second_values) in itertools.combinations(factors, 2):
        if (first, second) == ("length", "window"):
            continue
        for pair in itertools.product(((first, x) for x in first_values), ((second, x) for x in second_values)):
            assert pair in pairs or pair in LEFT_OUT, pair
