"""What recall without reading a key comes to: the floor that a lookup has to be above.

A probe's answers can be guessed in part: the newest value, or one that has occurred an odd number
of times, is right far more often than chance. Whoever makes the items knows what such strategies
answer, so the floor is counted on the very items that the model was asked.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Floor:
    share: float
    strategy: str | None  # None: chance
    known: bool  # False: the results do not say what strategies answer; `share` is chance

    @property
    def name(self):
        return self.strategy or "chance"


def of_range(chance, strategies, blind, units):
    """(Floor, hits of its strategy [seeds, items]); the best of `strategies` on these items, or
    chance where that is better. `blind`: hits [seeds, items, strategies]; `units` [seeds, items].
    Without units there is no Floor."""
    counts = units.sum(axis=1)
    counted = counts > 0
    if not counted.any():
        return None, np.zeros_like(units)
    shares = (blind.sum(axis=1)[counted] / counts[counted, None]).mean(axis=0)
    best = int(np.argmax(shares)) if strategies else None
    if best is None or shares[best] < chance:
        return Floor(chance, None, bool(strategies)), chance * units
    return Floor(float(shares[best]), strategies[best], True), blind[:, :, best]
