"""What instructions cost a multiprocessor, and how long blocks of them take on a GPU."""

import dataclasses
import heapq

from . import disassembly, gpus

_PARTITIONS = 4
RESOURCES = ("tensor cores", "exponentials", "instructions", "shared memory")

# The share of the less busy resources' time that the busiest one does not hide (assumption: chosen
# so that the same arithmetic comes near what FlashAttention-2 is known to reach; see the checks).
UNHIDDEN = 0.3
# A block that starts waits for its bounds, then for its first tile: two trips to memory
# (assumption).
BLOCK_LATENCY_CYCLES = 1500
LAUNCH_SECONDS = 2e-6  # of every kernel: start, drain (assumption)


@dataclasses.dataclass(frozen=True)
class Work:
    """What one warp does, by kinds of instructions; `multiplies` are the integer ones on the
    floating-point pipe."""
    counts: dict
    multiplies: float = 0

    def count(self, *kinds):
        return sum(self.counts.get(kind, 0) for kind in kinds)

    def __add__(self, other):
        kinds = self.counts.keys() | other.counts.keys()
        return Work({kind: self.counts.get(kind, 0) + other.counts.get(kind, 0) for kind in kinds},
                    self.multiplies + other.multiplies)

    def __mul__(self, factor):
        return Work({kind: factor * count for kind, count in self.counts.items()},
                    factor * self.multiplies)


def work_of(instructions):
    return Work(disassembly.counts_of(instructions),
                sum(i.name == "IMAD" and i.kind == "INT" for i in instructions))


def cycles_of(gpu, warps):
    """{resource: cycles of a multiprocessor} of what the warps of a block do between two barriers.
    Warps are spread over the partitions; the busiest partition keeps the others waiting."""
    partitions = [Work({}) for _ in range(_PARTITIONS)]
    for i, work in enumerate(warps):
        partitions[i % _PARTITIONS] += work
    # Blocks of fewer warps than partitions lie side by side.
    spread = min(1.0, len(warps) / _PARTITIONS)
    cycles = dict.fromkeys(RESOURCES, 0.0)
    for work in partitions:
        issue = gpus.ISSUE_CYCLES * sum(work.counts.values())
        fp32 = gpu.fp32_cycles * (work.count("FP32") + work.multiplies)
        alu = gpus.ALU_CYCLES * (work.count("INT", "F2FP", "FMNMX", "FSEL") - work.multiplies)
        for resource, needed in (
            ("tensor cores", gpu.product_cycles * work.count("HMMA")),
            ("exponentials", gpus.EXPONENTIAL_CYCLES * work.count("MUFU")),
            ("instructions", max(issue, fp32, alu)),
        ):
            cycles[resource] = max(cycles[resource], spread * needed)
        cycles["shared memory"] += sum(each * work.count(kind)
                                       for kind, each in gpus.SHARED_CYCLES.items())
    return cycles


def duration(cycles):
    """Of resources that partly hide each other."""
    busiest = max(cycles.values())
    return busiest + UNHIDDEN * (sum(cycles.values()) - busiest)


def scheduled_seconds(gpu, blocks_per_multiprocessor, block_cycles):
    """Of blocks that start in order as others end. `block_cycles`: of one that has a multiprocessor
    alone; several share it."""
    slots = [0.0] * (gpu.multiprocessors * blocks_per_multiprocessor)
    for cycles in block_cycles:
        start = heapq.heappop(slots)
        heapq.heappush(slots, start + blocks_per_multiprocessor * cycles + BLOCK_LATENCY_CYCLES)
    return max(slots) / gpu.clock_hz


@dataclasses.dataclass(frozen=True)
class Time:
    """Of one kernel: seconds, and the resource that limits it."""
    seconds: float
    limit: str


def kernel_time(gpu, blocks_per_multiprocessor, blocks, heads, l2_bytes, dram_bytes):
    """`blocks`: for each block of a head in launch order, the list of cycles_of() between its
    barriers."""
    totals = {resource: sum(cycles[resource] for steps in blocks for cycles in steps)
              for resource in RESOURCES}
    block_cycles = heads * [sum(map(duration, steps)) for steps in blocks]
    times = {
        max(totals, key=totals.get): scheduled_seconds(gpu, blocks_per_multiprocessor,
                                                       block_cycles),
        "L2": l2_bytes / gpu.l2_bytes_per_second,
        "DRAM": dram_bytes / gpu.dram_bytes_per_second,
    }
    limit = max(times, key=times.get)
    return Time(times[limit] + LAUNCH_SECONDS, limit)


def streaming_time(gpu, dram_bytes):
    """Of a kernel that reads and writes memory and does next to nothing else."""
    return Time(dram_bytes / gpu.dram_bytes_per_second + LAUNCH_SECONDS, "DRAM")
