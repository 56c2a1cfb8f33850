"""The report on code and shapes whose answer is known."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from scripts.kernel_report import comparison, disassembly, kernels, occupancy, tiles

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Two products a pass; a masked variant that compares, one group of which can be skipped; a copy
# that is skipped at the end.
LISTING = """
.text.loop:
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_0:
        /*0010*/                   BAR.SYNC.DEFER_BLOCKING 0x0 ;
        /*0020*/                   BSSY B0, `(.L_x_5) ;
        /*0030*/               @P0 BRA `(.L_x_1) ;
        /*0040*/                   LDGSTS.E.BYPASS.128 [R2], [R4.64] ;
.L_x_1:
        /*0050*/                   BSYNC B0 ;
.L_x_5:
        /*0060*/               @P1 BRA `(.L_x_2) ;
        /*0070*/                   HMMA.16816.F32.BF16 R8, R4, R6, R8 ;
        /*0080*/                   HMMA.16816.F32.BF16 R8, R4, R6, R8 ;
        /*0090*/                   BRA.DIV ~URZ, `(.L_x_4) ;
        /*00a0*/                   BRA `(.L_x_3) ;
.L_x_2:
        /*00b0*/               @P5 BRA `(.L_x_3) ;
        /*00c0*/                   ISETP.GE.AND P2, PT, R1, R2, PT ;
        /*00d0*/                   HMMA.16816.F32.BF16 R8, R4, R6, R8 ;
        /*00e0*/               @P3 BRA `(.L_x_3) ;
        /*00f0*/                   FSEL R8, R8, -INF , P2 ;
        /*0100*/                   HMMA.16816.F32.BF16 R8, R4, R6, R8 ;
.L_x_3:
        /*0110*/              @!PT LDS RZ, [RZ] ;
        /*0120*/               @P4 BRA `(.L_x_0) ;
        /*0130*/                   EXIT ;
.L_x_4:
        /*0140*/                   SHFL.BFLY PT, R1, R2, 0x1, 0x1f ;
        /*0150*/                   BRA `(.L_x_3) ;
"""

SPILLING = """
namespace zebra::kernels::ampere {
template <int D>
__global__ void forward_kernel(float* x, const int* at) {
  float local[D];
  for (int i = 0; i < D; ++i) local[i] = x[i];
  for (int i = 0; i < D; ++i) local[at[i]] += x[at[D + i]];
  for (int i = 0; i < D; ++i) x[i] = local[at[i]];
}
template __global__ void forward_kernel<64>(float*, const int*);
}
"""


def test_ways_through_a_loop():
    (instructions, labels), = disassembly.parse(LISTING).values()
    loop = disassembly.main_loop(instructions, labels)
    addresses = [[i.address for i in way] for way in (loop.free, loop.masked, loop.empty)]
    ring, end = list(range(0x10, 0x70, 0x10)), [0x110, 0x120]
    assert addresses == [[*ring, 0x70, 0x80, 0x90, 0xa0, *end],
                         [*ring, *range(0xb0, 0x110, 0x10), *end],
                         [*ring, 0xb0, *end]]
    assert [i.address for i in loop.ends] == [0x0, 0x130]
    counts = disassembly.counts_of(loop.free)
    assert (counts["HMMA"], counts["LDGSTS"], counts["BAR"], counts["LDS"]) == (2, 1, 1, 0)


def test_no_main_loop_without_products():
    (instructions, labels), = disassembly.parse(LISTING.replace("HMMA", "FFMA")).values()
    assert disassembly.main_loop(instructions, labels) is None


def test_local_memory_is_a_fault(cuda_compiler, tmp_path):
    source = tmp_path / "spilling.cu"
    source.write_text(SPILLING)
    (compiled,) = cuda_compiler.kernels(source, "sm_80")
    kernel = kernels.Kernel("sm_80", "ampere", "forward", 64, compiled, {},
                            disassembly.counts_of(compiled.instructions), None, None)
    (fault,) = kernel.faults()
    assert fault.startswith("ampere forward D=64 sm_80: uses local memory, a stack of 256 bytes")


@pytest.mark.parametrize("gpu, threads, registers, shared_bytes, blocks", [
    (occupancy.A100, 128, 255, 0, 2),  # 64 K registers / (128 x 256)
    (occupancy.A100, 128, 168, 0, 3),
    (occupancy.A100, 128, 169, 0, 2),
    (occupancy.A100, 256, 32, 0, 8),  # threads
    (occupancy.A100, 32, 32, 0, 32),  # blocks
    (occupancy.A100, 128, 32, 81 * 1024, 2),  # 164 KB / (81 + 1)
    (occupancy.A100, 128, 32, 81 * 1024 + 1, 1),
    (occupancy.H100, 128, 32, 227 * 1024, 1),
    (occupancy.H100, 128, 32, 227 * 1024 + 1, 0),
    (occupancy.CONSUMER_86, 256, 32, 0, 6),
    (occupancy.CONSUMER_86, 32, 32, 0, 16),
    (occupancy.CONSUMER_89, 128, 32, 49 * 1024, 2),
])
def test_occupancy(gpu, threads, registers, shared_bytes, blocks):
    assert occupancy.blocks_per_multiprocessor(gpu, threads, registers, shared_bytes) == blocks


LENGTH = 512


def visible_columns(row, window, transposed):
    """Of queries keys, or transposed of keys queries."""
    if transposed:
        return range(row, min(row + window + 1, LENGTH))
    return range(max(row - window, 0), row + 1)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("columns, rows", [(32, 64), (64, 64), (64, 128), (32, 128)])
@pytest.mark.parametrize("window", [0, 1, 31, 32, 33, 128, 200, LENGTH])
def test_visited_tiles(window, columns, rows, transposed):
    passes_of = tiles.query_passes if transposed else tiles.key_passes
    shape = {"rows": rows, "columns": columns, "warps": 4}
    for first in range(0, LENGTH, rows):
        seen = [set(visible_columns(row, window, transposed)) for row in range(first, first + rows)]
        begin = min(map(min, seen)) // columns * columns
        end = max(map(max, seen)) + 1
        expected = []
        for tile in range(begin, end, columns):
            whole = set(range(tile, tile + columns))
            if all(whole <= row for row in seen):
                expected.append(None)
                continue
            warps = [set().union(*seen[at:at + rows // 4]) for at in range(0, rows, rows // 4)]
            expected.append(tuple(len({column // 16 for column in warp & whole})
                                  for warp in warps))
        assert passes_of(first, shape, LENGTH, window) == expected, first


def test_the_model_is_near_published_speeds():
    for row in comparison.check():
        if row["window"] != "causal":
            continue
        low, _, high = row["published"].partition("-")
        assert 0.8 * float(low) < row["model"] < 1.2 * float(high or low), row


def test_command(cuda_compiler, build_folder, compiled_kernels, tmp_path):
    command = [sys.executable, "-m", "scripts.kernel_report", "--build-folder", build_folder,
               "--model", "--output", tmp_path / "report.md", "--json", tmp_path / "report.json"]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert "A model, not a measurement" in (tmp_path / "report.md").read_text()
    numbers = json.loads((tmp_path / "report.json").read_text())
    assert len(numbers["kernels"]) == len(compiled_kernels)
    assert len(numbers["model"]) == 2 * 16
