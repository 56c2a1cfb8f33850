"""What the functions of a translated kernel call: memory, warps and checks, for all lanes at once.

`index` is the number of the instruction, for errors. `at` picks the lanes that execute it out of an
array (a slice or numbers of lanes), `warps` those warps.
"""

import contextlib

import numpy as np

from . import arithmetic, warp
from .asynchronous_copy import AsynchronousCopies
from .lanes import WHOLE_WARP, KernelFault, ranges
from .memory import AccessError, ConstantMemory, SharedMemory, positions_among

# Where the spaces lie among generic addresses.
WINDOWS = {"global": 0, "param": 0x7E00_0000_0000, "shared": 0x7F00_0000_0000}


class Operations:
    def __init__(self, program, launch, lanes, memory):
        self._program, self._lanes = program, lanes
        shared_bytes = program.static_shared_bytes + launch.shared_bytes
        self._global = memory
        self._shared = SharedMemory(lanes.blocks.size, shared_bytes)
        self._parameters = ConstantMemory(launch.parameters)
        self._copies = AsynchronousCopies(lanes.count, memory, self._shared, launch.early_copies)

    def namespace(self):
        """All that the functions name, save registers and constants."""
        operations = (name for name in dir(self) if not name.startswith("_"))
        return {"np": np, "arithmetic": arithmetic,
                **{f"{space}_window": np.uint64(start) for space, start in WINDOWS.items()},
                **self._lanes.special_registers(),
                **{name: getattr(self, name) for name in operations}}

    def lanes(self, mask):
        return slice(None) if mask is True else np.flatnonzero(mask)

    def everywhere(self, at, value):
        return np.full(self._lanes.count, value)[at]

    def whole_warps(self, index, mask):
        if mask is True:
            return slice(None)
        mask = self._lanes.by_warp(mask)
        active = mask.any(axis=1)
        partial = active & ~mask.all(axis=1)
        if partial.any():
            number = int(partial.argmax())
            raise KernelFault(f"{self._program.instructions[index]}: "
                              f"{self._lanes.warp_name(number)} has diverged: lanes "
                              f"{ranges(mask[number])} are here, {ranges(~mask[number])} are not")
        return np.flatnonzero(active)

    def require_whole_warp(self, index, at, members):
        members = np.broadcast_to(members, self._lanes.count)[at]
        self._require(index, at, members == WHOLE_WARP, "only a whole warp can take part")

    def divisor(self, index, mask, values):
        """The values, with ones in lanes that do not divide."""
        values = np.broadcast_to(values, self._lanes.count)
        zero = values == 0
        self._require(index, slice(None), ~(zero & mask), "division by zero")
        return np.where(zero, values.dtype.type(1), values)

    def load(self, index, space, at, addresses, element_bytes, count):
        """Rows of `count` unsigned elements."""
        with self._access(index, at):
            return self._load(space, self._lanes.block_of[at], addresses, element_bytes, count)

    def store(self, index, space, at, addresses, elements):
        count = self._lanes.count
        elements = [np.broadcast_to(element, count)[at] for element in elements]
        with self._access(index, at):
            self._store(space, self._lanes.block_of[at], addresses, np.stack(elements, axis=1))

    def start_copies(self, index, at, destinations, sources, present, width):
        present = np.broadcast_to(present, self._lanes.count)[at]
        self._require(index, at, (present == 0) | (present == width),
                      f"source size is neither 0 nor {width}")
        with self._access(index, at):
            self._copies.start(self._lanes.all[at], self._lanes.block_of[at], destinations, sources,
                               present != 0, width)

    def commit_copies(self, at):
        self._copies.commit(at)

    def wait_copies(self, at, newest_left):
        self._copies.wait(at, newest_left)

    def load_matrices(self, index, at, addresses, transposed):
        with self._access(index, at):
            rows = self._shared.load(self._lanes.block_of[at], addresses, 2, 8)
        return warp.load_matrices(rows, transposed)

    def by_warp(self, register):
        return self._lanes.by_warp(register)

    def multiply_add(self, warps, a, b, c):
        pick = lambda fragment: [self._lanes.by_warp(register)[warps] for register in fragment]
        return warp.multiply_add(pick(a), pick(b), pick(c))

    def shuffle_source(self, lane_mask, bounds):
        return warp.shuffle_source(self._lanes.all, lane_mask, bounds)

    def _load(self, space, blocks, addresses, element_bytes, count):
        if space == "global":
            return self._global.load(addresses, element_bytes, count)
        if space == "shared":
            return self._shared.load(blocks, addresses, element_bytes, count)
        if space == "param":
            return self._parameters.load(addresses, element_bytes, count)
        result = np.empty((addresses.size, count), f"u{element_bytes}")
        for space, where, within in _by_space(addresses):
            with positions_among(where):
                result[where] = self._load(space, blocks[where], within, element_bytes, count)
        return result

    def _store(self, space, blocks, addresses, values):
        if space == "global":
            self._global.store(addresses, values)
        elif space == "shared":
            self._shared.store(blocks, addresses, values)
        elif space == "param":
            raise AccessError(0, "parameters cannot be written")
        else:
            for space, where, within in _by_space(addresses):
                with positions_among(where):
                    self._store(space, blocks[where], within, values[where])

    @contextlib.contextmanager
    def _access(self, index, at):
        try:
            yield
        except AccessError as error:
            self._fail(index, at, error.position, str(error))

    def _require(self, index, at, condition, message):
        if not condition.all():
            self._fail(index, at, int(condition.argmin()), message)

    def _fail(self, index, at, position, message):
        lane = self._lanes.lane_name(self._lanes.all[at][position])
        raise KernelFault(f"{self._program.instructions[index]}: {lane}: {message}")


def _by_space(addresses):
    """(space, positions, addresses in the space) for generic addresses."""
    starts = np.array(list(WINDOWS.values()), np.uint64)
    window = np.searchsorted(starts, addresses, side="right") - 1
    for number, space in enumerate(WINDOWS):
        where = np.flatnonzero(window == number)
        if where.size > 0:
            yield space, where, addresses[where] - starts[number]
