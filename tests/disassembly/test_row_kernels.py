"""What the row kernels must never lose, checked in the compiler's output, without a GPU."""

import pytest

from scripts.kernel_report import kernels

REGISTERS = {  # at most, on both targets
    "rms_norm_forward": 80, "rms_norm_backward": 128, "add_partials": 32, "swiglu_forward": 40, "swiglu_backward": 72,
    "cross_entropy": 56, "rotary": 80, "adamw": 48, "short_runs": 64, "long_runs": 112,
}


@pytest.fixture(scope="module")
def row_kernels(cuda_compiler):
    return kernels.compile_row_kernels(cuda_compiler, ["sm_80", "sm_90"])


def test_every_kernel_is_there(row_kernels):
    typed = {(name, element, is_aligned) for name in REGISTERS.keys() - {"adamw", "add_partials"}
             for element in ("float32", "bfloat16") for is_aligned in (True, False)}
    rest = {("adamw", "", True), ("adamw", "", False), ("add_partials", "", None)}
    assert sorted((k.name, k.element, str(k.is_aligned), k.architecture) for k in row_kernels) == sorted(
        (name, element, str(is_aligned), architecture) for name, element, is_aligned in typed | rest
        for architecture in ("sm_80", "sm_90"))


def test_no_spills_and_no_local_memory(row_kernels):
    assert [fault for kernel in row_kernels for fault in kernel.faults()] == []


def test_register_ceilings(row_kernels):
    over = {k.title: k.compiled.registers for k in row_kernels if k.compiled.registers > REGISTERS[k.name]}
    assert over == {}


def test_no_slow_arithmetic(row_kernels):
    assert [k.title for k in row_kernels if k.counts["FP64"]] == []


def test_cross_entropy_has_one_block_of_1024_threads_on_a_multiprocessor(row_kernels):
    """Its rows would not wait in L2 with two."""
    assert all(k.compiled.registers > 32 for k in row_kernels if k.name == "cross_entropy")


def test_aligned_rows_move_16_bytes_at_a_time(row_kernels):
    for kernel in row_kernels:
        wide = [i for i in kernel.compiled.instructions if i.kind in ("LDG", "STG") and ".128" in i.opcode]
        assert bool(wide) == bool(kernel.is_aligned), kernel.title
