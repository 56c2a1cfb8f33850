"""Global memory of named buffers and the shared memory of blocks, with every access checked."""

import contextlib
import math

import numpy as np

# Both halves of an address matter: buffers lie behind the first 4 GiB and across a multiple of it.
GLOBAL_START = 0x7_FFFF_0000
SHARED_START = 1024  # in shared memory, of a block's variables
GAP = 4096  # at least, between buffers
POISON = 0xFF  # NaN in every floating-point type, and no index that anything could use

READABLE, WRITABLE = 1, 2  # flags of a byte; one that is written becomes readable


class AccessError(Exception):
    """The access at `position` among those asked for is not allowed."""

    def __init__(self, position, reason):
        super().__init__(reason)
        self.position = position


@contextlib.contextmanager
def positions_among(where):
    """Errors of accesses that were picked out of others at the positions `where`."""
    try:
        yield
    except AccessError as error:
        raise AccessError(int(where[error.position]), str(error)) from None


def check_alignment(addresses, width):
    misaligned = (addresses & addresses.dtype.type(width - 1)) != 0
    if misaligned.any():
        position = int(misaligned.argmax())
        address = addresses[position]
        raise AccessError(position, f"address {address:#x} is not a multiple of {width}")


def rows(data, element_bytes, count):
    """Bytes as rows of `count` elements."""
    return data.view(f"u{element_bytes}").reshape(-1, count)


class GlobalMemory:
    """Buffers at made-up addresses with gaps between them.

    Inputs can be read. Outputs can be written and, once written, read; until then they hold poison.
    """

    def __init__(self, capacity=1 << 28):
        self._data = np.zeros(capacity, np.uint8)  # the system commits the pages that are used
        self._flags = np.zeros(capacity, np.uint8)
        self._end = GAP
        self._buffers = {}  # name to (offset, shape, dtype)

    def add_input(self, name, array, alignment=256):
        """Copies `array`; returns its address, a multiple of `alignment` and of no higher power of
        two, so that a kernel which needs more than it was promised is found out."""
        array = np.ascontiguousarray(array)
        offset = self._add(name, array.shape, array.dtype, alignment)
        self._data[offset:offset + array.nbytes] = array.reshape(-1).view(np.uint8)
        self._flags[offset:offset + array.nbytes] = READABLE
        return GLOBAL_START + offset

    def add_output(self, name, shape, dtype, alignment=256):
        """An array that nothing has been written to; returns its address as add_input does."""
        offset = self._add(name, shape, np.dtype(dtype), alignment)
        end = offset + math.prod(self._buffers[name][1]) * np.dtype(dtype).itemsize
        self._data[offset:end] = POISON
        self._flags[offset:end] = WRITABLE
        return GLOBAL_START + offset

    def allow_writes(self, name):
        """To an input, for kernels that work in place."""
        self._of(self._flags, name).reshape(-1).view(np.uint8)[:] |= WRITABLE

    def read(self, name):
        """A copy of a buffer."""
        return self._of(self._data, name).copy()

    def unwritten(self, name):
        """How many bytes of a buffer cannot be read, since nothing was written there."""
        return int((self._of(self._flags, name).reshape(-1).view(np.uint8) & READABLE == 0).sum())

    def load(self, addresses, element_bytes, count):
        """Rows of `count` unsigned elements, one for each address."""
        width = element_bytes * count
        offsets = self.check(addresses, width, READABLE)
        return rows(self._data, element_bytes, count)[offsets // np.uint64(width)]

    def store(self, addresses, values):
        """Rows of unsigned elements, one for each address."""
        element_bytes, count = values.dtype.itemsize, values.shape[1]
        width = element_bytes * count
        at = self.check(addresses, width, WRITABLE) // np.uint64(width)
        rows(self._data, element_bytes, count)[at] = values
        rows(self._flags, 1, width)[at] = READABLE | WRITABLE

    def check(self, addresses, width, flag):
        """Offsets of the addresses, after a check that all of their `width` bytes have the flag."""
        check_alignment(addresses, width)
        offsets = addresses - np.uint64(GLOBAL_START)
        inside = offsets <= np.uint64(self._data.size - width)
        word_bytes = min(width, 8)
        flags = rows(self._flags, word_bytes, width // word_bytes)
        pattern = int.from_bytes(bytes([flag] * word_bytes), "little")
        words = flags[np.where(inside, offsets, 0) // np.uint64(width)]
        allowed = inside & ((words & words.dtype.type(pattern)) == pattern).all(axis=1)
        if not allowed.all():
            position = int(allowed.argmin())
            raise AccessError(position, self._reason(int(addresses[position]), width, flag))
        return offsets

    def _add(self, name, shape, dtype, alignment):
        if name in self._buffers:
            raise ValueError(f"there is a buffer {name!r} already")
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        address = (GLOBAL_START + self._end + 2 * alignment) // (2 * alignment) * 2 * alignment
        offset = address + alignment - GLOBAL_START
        self._end = offset + math.prod(shape) * dtype.itemsize + GAP
        if self._end > self._data.size:
            raise MemoryError(f"no room for the buffer {name!r}")
        self._buffers[name] = (offset, shape, dtype)
        return offset

    def _of(self, memory, name):
        offset, shape, dtype = self._buffers[name]
        end = offset + math.prod(shape) * dtype.itemsize
        return memory[offset:end].view(dtype).reshape(shape)

    def _reason(self, address, width, flag):
        """Why an access is not allowed."""
        access = f"{width} bytes at {address:#x}"
        nearest, gap, place = None, math.inf, ""
        for name, (offset, shape, dtype) in self._buffers.items():
            start = GLOBAL_START + offset
            size = math.prod(shape) * dtype.itemsize
            before, behind = start - address, address + width - (start + size)
            if max(before, behind) <= 0:
                why = "read before anything wrote it" if flag == READABLE else "an input"
                return f"{access}, byte {-before} of {name!r}: {why}"
            if max(before, behind) < gap:
                nearest, gap = f"{name!r} of {size} bytes", max(before, behind)
                place = "before" if before > behind else "behind the end of"
        return f"{access}: {gap} bytes {place} {nearest}"


class SharedMemory:
    """The shared memory of several blocks, each `size` bytes from SHARED_START on, poisoned."""

    def __init__(self, blocks, size):
        self._size = size
        self._stride = -(-size // 16) * 16
        self._data = np.full(blocks * self._stride, POISON, np.uint8)

    def load(self, blocks, addresses, element_bytes, count):
        """Rows of `count` unsigned elements at addresses of the blocks' shared memory."""
        width = element_bytes * count
        at = self.check(blocks, addresses, width) // width
        return rows(self._data, element_bytes, count)[at]

    def store(self, blocks, addresses, values):
        element_bytes, count = values.dtype.itemsize, values.shape[1]
        width = element_bytes * count
        at = self.check(blocks, addresses, width) // width
        rows(self._data, element_bytes, count)[at] = values

    def check(self, blocks, addresses, width):
        """Offsets in the memory of all blocks."""
        check_alignment(addresses, width)
        offsets = addresses.astype(np.int64) - SHARED_START
        outside = (offsets < 0) | (offsets > self._size - width)
        if outside.any():
            position = int(outside.argmax())
            raise AccessError(position, f"{width} bytes at {offsets[position]} of the "
                                        f"{self._size} bytes of shared memory")
        return blocks * self._stride + offsets


class ConstantMemory:
    """The parameters of a kernel, addressed from 0."""

    def __init__(self, contents):
        self._size = len(contents)
        self._data = np.frombuffer(contents + bytes(-len(contents) % 16), np.uint8)

    def load(self, addresses, element_bytes, count):
        width = element_bytes * count
        check_alignment(addresses, width)
        outside = addresses.astype(np.float64) + width > self._size
        if outside.any():
            position = int(outside.argmax())
            raise AccessError(position, f"{width} bytes at {addresses[position]} of the "
                                        f"{self._size} bytes of parameters")
        return rows(self._data, element_bytes, count)[addresses // np.uint64(width)]
