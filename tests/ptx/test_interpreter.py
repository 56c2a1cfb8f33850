"""Kernels out of the primitives of device.h, as nvcc compiles them, against NumPy."""

import ctypes
import math
import pathlib

import numpy as np
import pytest
import torch

from .arithmetic import from_bfloat16, to_bfloat16
from .interpreter import LANES_AT_ONCE, Kernel
from .lanes import KernelFault
from .memory import GlobalMemory
from .nvcc import compile_ptx, find_nvcc
from .parser import PtxError

KERNELS = pathlib.Path(__file__).parent / "kernels"
THREADS = 64  # as in primitives.cu
ORDERS = ("together", "ascending", "descending")

pytestmark = pytest.mark.skipif(find_nvcc() is None, reason="needs nvcc of a CUDA toolkit")


@pytest.fixture(scope="module", params=["sm_80", "sm_120"])
def kernel(request):
    """Kernels of primitives.cu by name, from two generations of the compiler."""
    text = compile_ptx(KERNELS / "primitives.cu", architecture=request.param)
    return lambda name: Kernel(text, name)


def parameters(*values):
    """Of a kernel: Python integers are pointers, NumPy's numbers and arrays are members."""
    members = [np.asarray(value, np.uint64 if isinstance(value, int) else None) for value in values]
    contents = b""
    for member in members:
        contents += bytes(-len(contents) % member.dtype.itemsize) + member.tobytes()
    return contents + bytes(-len(contents) % 8)


def random(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def memory():
    return GlobalMemory()


def test_load_matrices(kernel, memory):
    rows = np.arange(THREADS * 8, dtype=np.uint16).reshape(-1, 4, 8, 8)  # warp, matrix, row, column
    addresses = [memory.add_output(name, (THREADS, 4), np.uint32)
                 for name in ("plain", "transposed")]
    kernel("matrices").launch(1, THREADS, 16 * THREADS,
                              parameters(memory.add_input("rows", rows), *addresses), memory)
    for name, matrices in (("plain", rows), ("transposed", rows.swapaxes(2, 3))):
        fragments = memory.read(name)
        for thread in range(THREADS):
            warp, lane = divmod(thread, 32)
            for matrix in range(4):
                low, high = matrices[warp, matrix, lane // 4, 2 * (lane % 4):][:2].astype(int)
                assert fragments[thread, matrix] == high << 16 | low


def multiply(kernel, memory, skipped_lane):
    a, b, c = to_bfloat16(random((16, 16))), to_bfloat16(random((16, 8), 1)), random((16, 8), 2)
    addresses = [memory.add_input(name, x) for name, x in (("a", a), ("b", b), ("c", c))]
    addresses.append(memory.add_output("result", c.shape, c.dtype))
    execution = kernel("product").launch(1, 32, 0, parameters(*addresses, np.int32(skipped_lane)),
                                         memory)
    assert execution.per_block("mma").tolist() == [[[1]]]
    return from_bfloat16(a).astype(float) @ from_bfloat16(b).astype(float) + c


def test_multiply_add(kernel, memory):
    expected = multiply(kernel, memory, skipped_lane=-1)
    np.testing.assert_array_equal(memory.read("result"), expected.astype(np.float32))


def test_multiply_add_of_part_of_a_warp(kernel, memory):
    with pytest.raises(KernelFault, match=r"mma\.sync.*block \(0, 0, 0\), warp 0 has diverged: "
                                          r"lanes 0-8, 10-31 are here, 9 are not"):
        multiply(kernel, memory, skipped_lane=9)


def copy(kernel, memory, name, early, present=THREADS, source_bytes=None, alignment=256):
    rounds = 5
    source = np.random.default_rng(0).integers(0, 255, (rounds, THREADS, 16), np.uint8)
    contents = source.reshape(-1)[:source_bytes]
    address = memory.add_input("source", contents, alignment)
    target = memory.add_output("target", source.shape, np.uint8)
    numbers = np.array([rounds, present], np.int32)
    execution = kernel(name).launch(1, THREADS, 2 * 16 * THREADS,
                                    parameters(address, target, numbers), memory,
                                    early_copies=early)
    assert execution.per_block("cp.async.cg").tolist() == [[[rounds * THREADS / 32]]]
    return source, memory.read("target")


@pytest.mark.parametrize("early", [False, True])
def test_copy_async(kernel, memory, early):
    source, target = copy(kernel, memory, "copy_and_wait", early)
    np.testing.assert_array_equal(target, source)


@pytest.mark.parametrize("early", [False, True])
def test_copy_async_of_nothing_is_zeros_and_reads_nothing(kernel, memory, early):
    source, target = copy(kernel, memory, "copy_and_wait", early, present=0, source_bytes=16)
    assert not target.any()


def test_copy_that_is_not_waited_for_leaves_poison(kernel, memory):
    _, target = copy(kernel, memory, "copy_too_late", early=False)
    assert (target[0] == 0xFF).all()
    assert np.isnan(target[0].view(np.float32)).all()


def test_copy_that_is_not_waited_for_may_have_arrived(kernel, memory):
    source, target = copy(kernel, memory, "copy_too_late", early=True)
    np.testing.assert_array_equal(target, source)


@pytest.mark.parametrize("early", [False, True])
def test_copy_out_of_bounds(kernel, memory, early):
    with pytest.raises(KernelFault, match=r"cp\.async.*thread 63: 16 bytes at 0x\w+: 16 bytes "
                                          "behind the end of 'source' of 5104 bytes"):
        copy(kernel, memory, "copy_and_wait", early, source_bytes=5 * 16 * THREADS - 16)


def test_copy_misaligned(kernel, memory):
    with pytest.raises(KernelFault, match="cp.async.*not a multiple of 16"):
        copy(kernel, memory, "copy_and_wait", False, alignment=8)


def iterate(x, lane):
    """What the kernel `sum` does to a number, one operation after the other."""
    iterations = 0
    while x > 1:
        iterations += 1
        for _ in range(iterations % 3):
            x -= np.float32(0.125)
        if iterations % 4 != lane % 4:
            x *= np.float32(0.75)
    return x, iterations


@pytest.mark.parametrize("order", ORDERS)
def test_divergent_loops_and_shuffles(kernel, memory, order):
    blocks = 3
    x = np.abs(random(blocks * THREADS)) * np.float32(20)
    addresses = [memory.add_input("x", x), memory.add_output("sum", x.size, np.float32),
                 memory.add_output("iterations", x.size, np.int32)]
    kernel("sum").launch(blocks, THREADS, 0, parameters(*addresses), memory, warp_order=order)
    ends, iterations = zip(*(iterate(value, lane) for lane, value in enumerate(x)))
    ends, iterations = (np.array(values).reshape(-1, 32) for values in (ends, iterations))
    assert len(set(iterations.reshape(-1))) > 5
    for mask in (1, 2, 4, 8, 16):
        ends = ends + ends[:, np.arange(32) ^ mask]
    np.testing.assert_array_equal(memory.read("sum").reshape(-1, 32), ends)
    np.testing.assert_array_equal(memory.read("iterations").reshape(-1, 32),
                                  np.repeat(iterations.sum(axis=1, keepdims=True), 32, axis=1))


def test_functions(kernel, memory):
    x = np.concatenate([random(58) * 3, [-np.inf, np.inf, np.nan, -0.0, 0, 1e-40, -1e-40]])
    x = x.astype(np.float32)
    names = ("exp2", "log2", "reciprocal", "square_root", "natural_log", "fused", "same", "packed", "low", "high")
    addresses = [memory.add_output(name, THREADS, np.uint32 if name == "packed" else np.float32)
                 for name in names]
    kernel("map").launch(1, THREADS, 0, parameters(memory.add_input("x", x), *addresses), memory)
    flushed = np.where(np.abs(x) < 2.0 ** -126, np.copysign(np.float32(0), x), x)[:-1]
    with np.errstate(all="ignore"):
        expected = {"exp2": np.exp2(flushed), "log2": np.log2(flushed), "reciprocal": 1 / flushed,
                    "square_root": np.sqrt(x[:-1]), "natural_log": np.log(x[:-1]), "same": x[:-1],
                    "fused": x[:-1].astype(np.float64) ** 2 - 1}
    for name, values in expected.items():
        np.testing.assert_allclose(memory.read(name), values, rtol=2e-7)
    rounded = torch.from_numpy(x).bfloat16().float().numpy()
    np.testing.assert_array_equal(memory.read("low"), rounded[:-1])
    np.testing.assert_array_equal(memory.read("high"), rounded[1:])
    packed = memory.read("packed")
    np.testing.assert_array_equal(packed[1:] & 0xFFFF, packed[:-1] >> 16)


def rotate(kernel, memory, order, barrier=THREADS, shared_index=0):
    """Which of two blocks' threads got the number of the thread 40 further."""
    x = np.arange(2 * THREADS, dtype=np.int32)
    result = memory.add_output("result", x.size, x.dtype)
    numbers = np.array([40, barrier, shared_index], np.int32)
    kernel("rotate").launch(2, THREADS, 4 * THREADS,
                            parameters(memory.add_input("x", x), result, numbers), memory,
                            warp_order=order)
    expected = np.roll(x.reshape(2, THREADS), -40, axis=1)
    return memory.read("result").reshape(2, THREADS) == expected


@pytest.mark.parametrize("order", ORDERS)
def test_block_barrier(kernel, memory, order):
    assert rotate(kernel, memory, order).all()


@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_missing_barrier(kernel, memory, order):
    """The first of the two warps misses what the other has not written yet."""
    thread = np.arange(THREADS)
    warp, warp_read = thread // 32, (thread + 40) % THREADS // 32
    first_warp = 0 if order == "ascending" else 1
    misses = (warp == first_warp) & (warp_read != first_warp)
    np.testing.assert_array_equal(rotate(kernel, memory, order, barrier=0), [~misses, ~misses])


def test_barrier_for_some_threads(kernel, memory):
    with pytest.raises(KernelFault, match=r"block \(0, 0, 0\): threads 0-31 wait at line \d+: "
                                          "bar.sync 0, threads 32-63 have left the kernel"):
        rotate(kernel, memory, "together", barrier=32)


def test_barrier_for_part_of_a_warp(kernel, memory):
    with pytest.raises(KernelFault, match="bar.sync 0: .* warp 1 has diverged: lanes 0-7 are here"):
        rotate(kernel, memory, "together", barrier=40)


@pytest.mark.parametrize("index", [1, -1])
def test_shared_memory_out_of_bounds(kernel, memory, index):
    with pytest.raises(KernelFault, match="st.shared.*of the 256 bytes of shared memory"):
        rotate(kernel, memory, "together", shared_index=index)


def words(kernel, memory, offsets, target=None):
    source = np.arange(256, dtype=np.uint8)
    address = memory.add_input("source", source)
    target = target or memory.add_output("target", (THREADS, 16), np.uint8)
    kernel("words").launch(1, THREADS, 0, parameters(address, target, np.array(offsets, np.int32)),
                           memory)
    return source


def test_parameters_at_a_computed_address(kernel, memory):
    offsets = [240, 16, 0, 32]
    source = words(kernel, memory, offsets)
    expected = [source[offset:offset + 16] for offset in offsets] * (THREADS // 4)
    np.testing.assert_array_equal(memory.read("target"), expected)
    assert memory.unwritten("target") == 0


@pytest.mark.parametrize("offset, message", [
    (8, r"ld\.global.*thread 2: address 0x\w+ is not a multiple of 16"),
    (256, r"ld\.global.*thread 2: 16 bytes at 0x\w+: 16 bytes behind the end of 'source'"),
    (-16, "16 bytes before 'source'"),
    (-2 ** 31, "2147483648 bytes before 'source'"),
])
def test_global_access_out_of_bounds(kernel, memory, offset, message):
    with pytest.raises(KernelFault, match=message):
        words(kernel, memory, [0, 0, offset, 0])


def test_write_to_an_input(kernel, memory):
    other = memory.add_input("other", np.zeros(THREADS * 16, np.uint8))
    with pytest.raises(KernelFault, match=r"st\.global.*byte 0 of 'other'.*input"):
        words(kernel, memory, [0] * 4, target=other)


def test_read_of_what_nothing_wrote(kernel, memory):
    numbers = np.array([40, THREADS, 0], np.int32)
    x = memory.add_output("x", THREADS, np.int32)
    result = memory.add_output("result", THREADS, np.int32)
    with pytest.raises(KernelFault, match=r"ld\.global.*byte 0 of 'x': read before anything"):
        kernel("rotate").launch(1, THREADS, 4 * THREADS, parameters(x, result, numbers), memory)
    assert memory.unwritten("x") == 4 * THREADS


def test_grid(kernel, memory):
    grid = (7, 5, 4)
    assert math.prod(grid) * THREADS > LANES_AT_ONCE
    result = memory.add_output("result", (*grid[::-1], THREADS), np.int32)
    execution = kernel("place").launch(grid, THREADS, 0,
                                       parameters(result, np.array(grid[:2], np.int32)), memory)
    block = np.arange(math.prod(grid)).reshape(*grid[::-1], 1)
    np.testing.assert_array_equal(memory.read("result"), block * 1000 + np.arange(THREADS))
    assert (execution.per_block("st.global") == 2).all()
    assert execution.counts()["st.global.u32"] == 2 * math.prod(grid)


def test_launch_that_the_kernel_is_not_made_for(kernel, memory):
    with pytest.raises(ValueError, match="128 threads"):
        kernel("place").launch(1, 128, 0, parameters(0, 0), memory)
    with pytest.raises(ValueError, match="32 bytes of parameters; the kernel takes 16"):
        kernel("place").launch(1, THREADS, 0, parameters(0, 0, 0, 0), memory)


def test_parameters_as_a_structure(kernel, memory):
    class Place(ctypes.Structure):
        _fields_ = [("result", ctypes.c_uint64), ("grid_x", ctypes.c_int), ("grid_y", ctypes.c_int)]

    address = memory.add_output("result", THREADS, np.int32)
    kernel("place").launch(1, THREADS, 0, Place(address, 1, 1), memory)
    np.testing.assert_array_equal(memory.read("result"), np.arange(THREADS))


def test_local_memory_is_refused():
    with pytest.raises(PtxError, match="must not use local memory"):
        Kernel(compile_ptx(KERNELS / "local_memory.cu"), "local_memory")
