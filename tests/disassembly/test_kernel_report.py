"""What the CUDA kernels must never lose, checked in the compiler's output, without a GPU."""

import json
import pathlib

import pytest

from scripts.kernel_report import compilation, disassembly, occupancy

REGISTERS = {  # at most; 255 is what a thread may have, and 256 threads share a multiprocessor
    ("ampere", "prepare"): {32: 48, 64: 48, 96: 48, 128: 48},
    ("ampere", "forward"): {32: 224, 64: 248, 96: 240, 128: 255},
    ("ampere", "query_gradient"): {32: 184, 64: 255, 96: 255, 128: 248},
    ("ampere", "key_value_gradient"): {32: 240, 64: 255, 96: 255, 128: 255},
    ("float32", "forward"): {32: 168, 64: 168, 96: 168, 128: 168},
    ("float32", "query_gradient"): {32: 168, 64: 168, 96: 168, 128: 208},
    ("float32", "key_value_gradient"): {32: 168, 64: 168, 96: 168, 128: 168},
}
AT_MOST_FEWEST = ("LDSM", "LDS", "STS", "LDGSTS", "MUFU", "F2FP", "FMNMX", "FSEL", "SHFL", "BAR")


def titles(kernels):
    return [kernel.title for kernel in kernels]


@pytest.fixture(scope="module")
def tensor_core_kernels(compiled_kernels):
    return [kernel for kernel in compiled_kernels if kernel.loop]


def test_every_kernel_is_there(compiled_kernels, tensor_core_kernels):
    assert {(k.kernel_class, k.name, k.head_size, k.architecture) for k in compiled_kernels} == {
        (*kind, head_size, architecture) for kind, of_sizes in REGISTERS.items()
        for head_size in of_sizes for architecture in ("sm_80", "sm_90")}
    assert {k.name for k in tensor_core_kernels} == {"forward", "query_gradient",
                                                     "key_value_gradient"}
    assert len(tensor_core_kernels) == 3 * 4 * 2


def test_no_spills_and_no_local_memory(compiled_kernels):
    assert [fault for kernel in compiled_kernels for fault in kernel.faults()] == []


def test_register_ceilings(compiled_kernels):
    over = {k.title: k.compiled.registers for k in compiled_kernels
            if k.compiled.registers > REGISTERS[k.kernel_class, k.name][k.head_size]}
    assert over == {}


def test_shared_memory_fits_every_gpu(compiled_kernels):
    assert titles(k for k in compiled_kernels if k.shared_bytes > 99 * 1024) == []
    for gpu in (occupancy.CONSUMER_86, occupancy.CONSUMER_89):
        assert titles(k for k in compiled_kernels if k.blocks_on(gpu) < 1) == []


def test_as_many_blocks_as_wanted(compiled_kernels):
    for gpu in (occupancy.A100, occupancy.H100):
        assert titles(k for k in compiled_kernels if k.architecture == gpu.architecture and
                      k.blocks_on(gpu) < k.facts["wanted_blocks"]) == []


def test_products_of_a_pass(tensor_core_kernels):
    for kernel in tensor_core_kernels:
        for way in (kernel.loop.free, kernel.loop.masked):
            assert disassembly.counts_of(way)["HMMA"] == kernel.fewest["HMMA"], kernel.title
        # A tile without a mask has no choices: nothing of its work depends on a predicate.
        assert not [i for i in kernel.loop.free if i.predicate and i.kind in ("HMMA", "MUFU")]


def test_a_pass_does_no_more_than_the_arithmetic(tensor_core_kernels):
    more = {}
    for kernel in tensor_core_kernels:
        counts = disassembly.counts_of(kernel.loop.free)
        for kind in AT_MOST_FEWEST:
            if counts[kind] > kernel.fewest[kind]:
                more[kernel.title, kind] = counts[kind], kernel.fewest[kind]
        # The first addition of a row's sum is to zero; the compiler keeps it.
        zeros = 4 if kernel.name == "forward" else 0
        assert counts["FP32"] <= kernel.fewest["FP32"] + zeros, kernel.title
    assert more == {}


def test_no_slow_arithmetic(compiled_kernels, tensor_core_kernels):
    assert titles(k for k in compiled_kernels if k.counts["FP64"]) == []
    for kernel in tensor_core_kernels:
        # An integer division converts to floating point and back, or is a subroutine, or, by a
        # constant, a product's high half.
        divisions = [i for i in kernel.loop.instructions
                     if i.kind == "CONVERT" or i.opcode.startswith(("MUFU.RCP", "IMAD.HI"))]
        assert divisions == [], kernel.title


def test_no_bank_conflicts(compiler):
    try:
        compilation.host_compiler()
    except compilation.MissingTool as missing:
        pytest.skip(str(missing))
    output = compiler.run_host_program(pathlib.Path(__file__).with_name("bank_conflicts.cpp"))
    accesses = json.loads(output)
    assert len(accesses) == 8 * 4
    assert all(access["accesses"] > 0 for access in accesses)
    assert [access for access in accesses if access["cycles"] != access["fewest"]] == []
