"""The GPUs of the model. Published figures, but for those marked as assumptions."""

import dataclasses

from . import occupancy


@dataclasses.dataclass(frozen=True)
class Gpu:
    name: str
    multiprocessor: occupancy.Multiprocessor
    multiprocessors: int
    clock_hz: float  # under load (assumption)
    peak_flops: float  # dense bfloat16
    # Cycles that one warp instruction takes on its partition, a quarter of a multiprocessor.
    product_cycles: float  # of m16n8k16 by mma.sync
    fp32_cycles: float
    l2_bytes_per_second: float  # reachable (assumption)
    dram_bytes_per_second: float  # reachable: 90 % of the published figure (assumption)


A100 = Gpu("A100", occupancy.A100, 108, 1.41e9, 312e12, 8.0, 2.0, 4.5e12, 0.9 * 2.0e12)
# mma.sync reaches about 62 % of the rate of wgmma (assumption).
H100 = Gpu("H100", occupancy.H100, 132, 1.7e9, 989e12, 4.0 / 0.62, 1.0, 5.5e12, 0.9 * 3.35e12)
ALL = (A100, H100)

# On both:
EXPONENTIAL_CYCLES = 8.0  # 4 lanes per cycle and partition
ALU_CYCLES = 2.0  # integers, comparisons, conversions: 16 lanes
ISSUE_CYCLES = 1.0
# On all of a multiprocessor's shared memory, 128 bytes a cycle.
SHARED_CYCLES = {"LDSM": 4.0, "LDGSTS": 4.0, "LDS": 1.0, "STS": 1.0, "SHFL": 1.0}
