"""Runs a translated kernel for some blocks of its grid at once, each thread a lane."""

import numpy as np

from .control_flow import EXIT, is_block_barrier
from .lanes import WARP_LANES, KernelFault, ranges
from .memory import POISON
from .operations import Operations
from .translator import type_of

NOWHERE = -1  # of lanes that do not wait


class Machine:
    def __init__(self, program, launch, lanes, memory):
        self._program, self._launch, self._lanes = program, launch, lanes
        self._functions = self._link(Operations(program, launch, lanes, memory))
        self._next = np.zeros(lanes.count, np.int64)  # the basic block that each lane runs next
        self._waits_at = np.full(lanes.count, NOWHERE)  # the block whose barrier it waits at
        self.executions = np.zeros((len(program.blocks), lanes.blocks.size), np.int64)  # of warps

    def run(self):
        """All lanes to their end. `executions` then counts, for each basic block and each block of
        the grid, the warps that ran it."""
        with np.errstate(all="ignore"):
            while (chosen := self._choose()) is not None:
                self._step(*chosen)

    def _link(self, operations):
        """The functions, with registers that hold poison."""
        registers, namespace = {}, operations.namespace() | self._program.constants
        for name, (register, dtype) in self._program.views.items():
            if register not in registers:
                declared = type_of(self._program.entry.registers[register])
                poison = POISON if declared.kind != "b" else False
                size = self._lanes.count * declared.itemsize
                registers[register] = np.full(size, poison, np.uint8)
            namespace[name] = registers[register].view(dtype)
        exec(self._program.code, namespace)
        return [namespace[f"block_{number}"] for number in range(len(self._program.blocks))]

    def _choose(self):
        """The lowest basic block that lanes can run, and these (True for all); None at the end.

        Unless warps run together, only the first warp of each block of the grid that can run is
        among these: other warps then see all that it does up to a barrier, or nothing.
        """
        can_run = (self._next != EXIT) & (self._waits_at == NOWHERE)
        if not can_run.any():
            if (self._next == EXIT).all():
                return None
            self._fail_at_barrier()
        if self._launch.warp_order != "together":
            can_run &= self._in_first_warps(can_run)
        block = self._next[can_run].min()
        mask = can_run & (self._next == block)
        return block, True if mask.all() else mask

    def _in_first_warps(self, can_run):
        warps = can_run.reshape(self._lanes.blocks.size, -1, WARP_LANES)
        order = 1 if self._launch.warp_order == "ascending" else -1
        first = np.zeros(warps.shape[:2], bool)[:, ::order]
        first[np.arange(first.shape[0]), warps.any(axis=2)[:, ::order].argmax(axis=1)] = True
        return np.repeat(first[:, ::order].reshape(-1), WARP_LANES)

    def _step(self, number, mask):
        block = self._program.blocks[number]
        taken = self._functions[number](mask)
        if taken is None:
            np.copyto(self._next, block.successors[-1], where=mask)
        else:
            target = np.where(taken, block.successors[-1], block.successors[0])
            np.copyto(self._next, target, where=mask)
        if mask is True:
            self.executions[number] += self._lanes.threads // WARP_LANES
        else:
            warps = self._lanes.by_warp(mask).any(axis=1)
            self.executions[number] += warps.reshape(self._lanes.blocks.size, -1).sum(axis=1)
        if block.instructions and is_block_barrier(block.instructions[-1]):
            np.copyto(self._waits_at, number, where=mask)
            self._release()

    def _release(self):
        """Lets blocks go on all of whose threads wait at one barrier."""
        waits_at = self._lanes.by_block(self._waits_at)
        complete = (waits_at != NOWHERE).all(axis=1)
        if (waits_at != waits_at[:, :1])[complete].any():
            self._fail_at_barrier()
        waits_at[complete] = NOWHERE

    def _fail_at_barrier(self):
        """Names the threads of a block that wait in vain for the rest of it."""
        waits_at = self._lanes.by_block(self._waits_at)
        ended = self._lanes.by_block(self._next) == EXIT
        differ = (waits_at != waits_at[:, :1]).any(axis=1)
        stuck = ((waits_at != NOWHERE) | ended).all(axis=1) & differ
        block = int(stuck.argmax())
        groups = [f"threads {ranges(waits_at[block] == number)} wait at "
                  f"{self._program.blocks[number].instructions[-1]}"
                  for number in np.unique(waits_at[block]) if number != NOWHERE]
        if ended[block].any():
            groups.append(f"threads {ranges(ended[block])} have left the kernel")
        raise KernelFault(f"{self._lanes.block_name(block)}: {', '.join(groups)}")
