"""The threads of some blocks of a grid, one lane each."""

import numpy as np

WARP_LANES = 32
WHOLE_WARP = 0xFFFFFFFF


class KernelFault(Exception):
    """A kernel did what is undefined on a GPU."""


class Lanes:
    def __init__(self, grid, threads, blocks):
        """`blocks` are indices in the grid (x fastest); their lanes follow each other."""
        self.grid, self.threads, self.blocks = grid, threads, np.asarray(blocks)
        self.count = self.blocks.size * threads
        self.all = np.arange(self.count)
        self.block_of = self.all // threads  # positions in `blocks`

    def special_registers(self):
        """Their names with _ for the dot, and their values in every lane."""
        x, y, _ = self.grid
        index = self.blocks[self.block_of]
        zero = np.zeros(self.count, np.int64)
        values = {"laneid": self.all % WARP_LANES,
                  "tid_x": self.all % self.threads, "tid_y": zero, "tid_z": zero,
                  "ntid_x": zero + self.threads, "ntid_y": zero + 1, "ntid_z": zero + 1,
                  "ctaid_x": index % x, "ctaid_y": index // x % y, "ctaid_z": index // (x * y)}
        values |= {f"nctaid_{axis}": zero + size for axis, size in zip("xyz", self.grid)}
        return {name: value.astype(np.uint32) for name, value in values.items()}

    def block_name(self, block):
        x, y, _ = self.grid
        index = int(self.blocks[block])
        return f"block ({index % x}, {index // x % y}, {index // (x * y)})"

    def lane_name(self, lane):
        return f"{self.block_name(self.block_of[lane])}, thread {lane % self.threads}"

    def warp_name(self, warp):
        lane = warp * WARP_LANES
        return f"{self.block_name(self.block_of[lane])}, warp {lane % self.threads // WARP_LANES}"

    def by_warp(self, values):
        return values.reshape(-1, WARP_LANES)

    def by_block(self, values):
        return values.reshape(-1, self.threads)


def ranges(flags):
    """The places of the true flags as text: "0-15, 20"."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags, [0])).astype(int)))
    return ", ".join(str(first) if first + 1 == end else f"{first}-{end - 1}"
                     for first, end in edges.reshape(-1, 2))
