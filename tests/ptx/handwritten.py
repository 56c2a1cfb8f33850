"""Kernels in PTX around a few instructions under test."""

import struct

import numpy as np

from .interpreter import Kernel
from .memory import GlobalMemory

MODULE = """
.version 9.0
.target sm_80
.address_size 64
.extern .shared .align 128 .b8 dynamic[];

.visible .entry kernel(
    .param .u64 kernel_param_0,
    .param .u64 kernel_param_1
)
.maxntid 1024
{{
    .reg .pred %p<9>;
    .reg .b16 %h<9>;
    .reg .b32 %r<9>;
    .reg .b64 %d<9>, %in, %out, %at;
    .reg .f32 %f<9>;
    ld.param.u64 %in, [kernel_param_0];
    ld.param.u64 %out, [kernel_param_1];
    mov.u32 %r0, %tid.x;
    mul.wide.u32 %at, %r0, 32;
    add.s64 %in, %in, %at;
    mul.wide.u32 %at, %r0, 8;
    add.s64 %out, %out, %at;
{body}
    ret;
}}
"""
EDGES = {  # integers by width
    16: [0, 1, 2, 15, 16, 17, 0x7FFF, 0x8000, 0xFFFF, 0x1234],
    32: [0, 1, 2, 7, 31, 32, 33, 63, 64, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x12345678,
         0xDEADBEEF],
    64: [0, 1, 7, 63, 64, 0xFFFFFFFF, 0x100000000, 2 ** 63 - 1, 2 ** 63, 2 ** 64 - 1,
         0x123456789ABCDEF0, 0xFEDCBA9876543210],
}
REGISTER = {16: "%h", 32: "%r", 64: "%d"}  # by width
FIRST_LINE = MODULE.split("{body}")[0].count("\n") + 1  # of the body


def run(body, inputs, **options):
    """Runs the body in a thread for each row of `inputs`, at most 1024; returns what each wrote.

    A row has up to four numbers of 64 bits, at [%in], [%in+8], ...; what is wanted are the 64 bits
    at [%out]. Threads that fill the last warp get the first row again.
    """
    threads = -(-len(inputs) // 32) * 32
    numbers = np.zeros((threads, 4), np.uint64)
    for row, values in zip(numbers, [*inputs, *inputs[:1] * 31]):
        row[:len(values)] = values
    memory = GlobalMemory()
    addresses = memory.add_input("in", numbers), memory.add_output("out", threads, np.uint64)
    kernel = Kernel(MODULE.format(body=body), "kernel")
    kernel.launch(1, threads, 1024, struct.pack("2Q", *addresses), memory, **options)
    return memory.read("out")[:len(inputs)].tolist()


def signed(x, bits):
    return x - (x >> bits - 1 << bits)


def bits_of(x):
    """Of a number as float32."""
    return struct.unpack("<I", struct.pack("<f", x))[0]
