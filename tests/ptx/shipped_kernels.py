"""The shipped local attention kernels as the interpreter runs them: nvcc's PTX, with the launches of the shipped host code."""

import hashlib
import pathlib
import subprocess

import numpy as np

from .interpreter import Kernel
from .memory import GlobalMemory
from .nvcc import CACHE, CSRC_KERNELS, FOLDERS, compile_ptx, compiled_once

RECORDER = pathlib.Path(__file__).parent / "recorder"
PASSES = ("prepare", "forward", "query_gradient", "key_value_gradient")  # as the parameters' types are named


def to_bfloat16(x):
    """The upper halves of float32, rounded to nearest even."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bfloat16(x):
    return (x.astype(np.uint32) << 16).view(np.float32)


def attention_sources():
    return [path for path in sorted(CSRC_KERNELS.glob("cuda/**/*.cu")) if path.parent.name != "rows"]


def build_recorder(name, kernel_sources):
    """The program recorder/NAME.cpp, which prints launches; compiled once for each content of the sources."""
    sources = [RECORDER / f"{name}.cpp", *kernel_sources]
    digest = hashlib.sha256()
    for path in [*sources, RECORDER / "emulated_device.h", *sorted(CSRC_KERNELS.rglob("*.h"))]:
        digest.update(path.read_bytes())
    includes = [f"-I{folder}" for folder in (RECORDER, *FOLDERS)]
    return compiled_once(CACHE / f"{name}_{digest.hexdigest()}", ["g++", "-std=c++20", "-w", "-O0", *includes, "-xc++", *sources])


class ShippedKernels:
    def __init__(self, architecture="sm_80"):
        self._recorder = build_recorder("record_launches", attention_sources())
        self._architecture = architecture
        self._kernels = {}

    def kernel(self, name, head_size, is_float32):
        key = name, head_size, is_float32
        if key not in self._kernels:
            heads = "small_heads" if head_size <= 64 else "large_heads"
            source = "float32/local_attention.cu" if is_float32 else f"ampere/{heads}.cu"
            ptx = compile_ptx(CSRC_KERNELS / "cuda" / source, architecture=self._architecture)
            # Mangled: the length of the name, the name, its template argument.
            self._kernels[key] = Kernel(ptx, f"{len(name) + 7}{name}_kernelILi{head_size}E")
        return self._kernels[key]

    def run(self, inputs, packed, d_out, is_float32, **how):
        """Forward and backward of a packed projection [batch, length, query + 2 key heads, head_size], whose parts
        `inputs` holds too. `how` goes to Kernel.launch. Returns out, log_sum_exp and the packed gradient as float32."""
        batch, length, query_heads, head_size = inputs.q.shape
        key_heads = inputs.k.shape[2]
        stored = (lambda x: np.asarray(x, np.float32)) if is_float32 else to_bfloat16
        element = np.float32 if is_float32 else np.uint16
        tables = inputs.cos is not None and inputs.cos.shape[0] > 1
        shape = [batch, length, query_heads, key_heads, head_size, inputs.window, int(is_float32), int(tables)]
        saved_bytes, workspace_bytes = map(int, self._record(shape)[0].split())

        memory = GlobalMemory()
        optional = lambda name, array, kind: 0 if array is None else memory.add_input(name, array.astype(kind))
        row_alignment = 4 if is_float32 else 16
        addresses = [memory.add_input("packed", stored(packed), row_alignment),
                     optional("cos", inputs.cos, np.float32), optional("sin", inputs.sin, np.float32),
                     optional("first_token", inputs.first_token, np.int64),
                     memory.add_output("out", inputs.q.shape, element, row_alignment),
                     memory.add_output("log_sum_exp", (batch, query_heads, length), np.float32, 4),
                     memory.add_input("d_out", stored(d_out), row_alignment),
                     memory.add_output("gradient", packed.shape, element, row_alignment),
                     memory.add_output("saved", max(saved_bytes, 1), np.uint8),
                     memory.add_output("workspace", max(workspace_bytes, 1), np.uint8)]
        for line in self._record(shape + addresses):
            kind, *numbers, parameters = line.split()
            x, y, z, threads, shared_bytes = map(int, numbers)
            name, = (p for p in PASSES if f"{p.title().replace('_', '')}Parameters" in kind)
            self.kernel(name, head_size, is_float32).launch((x, y, z), threads, shared_bytes, bytes.fromhex(parameters),
                                                            memory, **how)
        assert memory.unwritten("out") == memory.unwritten("log_sum_exp") == memory.unwritten("gradient") == 0
        value = (lambda x: x) if is_float32 else from_bfloat16
        return value(memory.read("out")), memory.read("log_sum_exp"), value(memory.read("gradient"))

    def _record(self, numbers):
        result = subprocess.run([self._recorder, *map(str, numbers)], capture_output=True, text=True, check=True)
        return result.stdout.splitlines()
