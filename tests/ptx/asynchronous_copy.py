"""cp.async: copies from global to shared memory that arrive at any time up to the wait for them."""

import numpy as np

from .memory import READABLE, check_alignment, positions_among


class AsynchronousCopies:
    """The copies of all lanes that are under way.

    A copy arrives at the last moment, when its lane waits for its group, or with `early` at the
    first: what is right in both cases neither reads what may not be there yet nor overwrites what
    may still be read.
    """

    def __init__(self, lanes, global_memory, shared_memory, early):
        self._global, self._shared = global_memory, shared_memory
        self._early = early
        self._groups = np.zeros(lanes, np.int64)  # that each lane has committed
        self._pending = []  # (width, arrays with an element for each lane that copies)

    def start(self, lanes, blocks, destinations, sources, present, width):
        """Copies `width` bytes for each lane, zeros where not present."""
        self._shared.check(blocks, destinations, width)
        check_alignment(sources, width)  # even where nothing is read
        where = np.flatnonzero(present)
        with positions_among(where):
            self._global.check(sources[where], width, READABLE)
        copy = lanes, self._groups[lanes], blocks, destinations, sources, present
        copy = tuple(part.copy() for part in copy)  # the registers go on changing
        if self._early:
            self._arrive(width, *copy)
        else:
            self._pending.append((width, copy))

    def commit(self, lanes):
        """What the lanes have started since their last commit becomes a group."""
        self._groups[lanes] += 1

    def wait(self, lanes, newest_left):
        """All but the newest groups of these lanes arrive."""
        arriving = np.full(self._groups.size, -1)  # the groups before this one
        arriving[lanes] = self._groups[lanes] - newest_left
        pending, self._pending = self._pending, []
        for width, copy in pending:
            ready = copy[1] < arriving[copy[0]]
            if ready.any():
                self._arrive(width, *(part[ready] for part in copy))
            if not ready.all():
                self._pending.append((width, tuple(part[~ready] for part in copy)))

    def _arrive(self, width, lanes, groups, blocks, destinations, sources, present):
        values = np.zeros((lanes.size, width), np.uint8)
        values[present] = self._global.load(sources[present], 1, width)
        self._shared.store(blocks, destinations, values)
