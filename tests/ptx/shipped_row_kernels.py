"""The shipped row kernels as the interpreter runs them: nvcc's PTX, with the launches of the shipped host code."""

import re
import subprocess

import numpy as np

from .interpreter import Kernel
from .memory import GlobalMemory
from .nvcc import CSRC_KERNELS, compile_ptx
from .shipped_kernels import build_recorder, from_bfloat16, to_bfloat16

# A launch names the (mangled) type of its kernel's parameters. By these types, without "Parameters": the source, and
# the kernels that take them, in the order in which they are launched.
KERNELS = {
    "RmsNormForward": ("rms_norm", ["rms_norm_forward"]),
    "RmsNormBackward": ("rms_norm", ["rms_norm_backward"]),
    "AddPartials": ("rms_norm", ["add_partials"]),
    "SwigluForward": ("swiglu", ["swiglu_forward"]),
    "SwigluBackward": ("swiglu", ["swiglu_backward"]),
    "CrossEntropy": ("cross_entropy", ["cross_entropy"]),
    "Rotary": ("rotary", ["rotary"]),
    "Adamw": ("adamw", ["adamw"]),
    "Embedding": ("embedding", ["short_runs", "long_runs"]),
}
PARAMETERS = re.compile(r"\d([A-Z]\w*?)Parameters(?:I.*?(6AccessI[ft]Lb[01]E))?")


class ShippedRowKernels:
    def __init__(self, architecture="sm_80"):
        self._recorder = build_recorder("record_row_launches", sorted(CSRC_KERNELS.glob("cuda/rows/*.cu")))
        self._architecture = architecture
        self._kernels = {}

    def kernel(self, source, name, instance):
        key = name, instance
        if key not in self._kernels:
            ptx = compile_ptx(CSRC_KERNELS / f"cuda/rows/{source}.cu", architecture=self._architecture)
            entries = re.findall(rf"\.entry\s+(\w*\d{name}_kernel\w*)", ptx)
            entry, = (entry for entry in entries if instance in entry)
            self._kernels[key] = Kernel(ptx, entry)
        return self._kernels[key]

    def record(self, name, is_float32, *arguments):
        """What the recorder prints for arguments of record_row_launches.cpp."""
        command = [self._recorder, name, int(is_float32), *arguments]
        result = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
        return result.stdout.splitlines()

    def launch(self, name, is_float32, *arguments, memory, instance="", **how):
        """Runs the launches that the host code makes; `how` goes to Kernel.launch. Returns which kernels ran. AdamW
        has no type: its instance must be told."""
        seen, launched = {}, []
        for line in self.record(name, is_float32, *arguments):
            kind, *numbers, parameters = line.split()
            x, y, z, threads, shared_bytes = map(int, numbers)
            family, access = PARAMETERS.search(kind).groups()
            source, kernels = KERNELS[family]
            kernel = kernels[seen.setdefault(family, 0)]
            seen[family] += 1
            self.kernel(source, kernel, access or instance).launch((x, y, z), threads, shared_bytes,
                                                                   bytes.fromhex(parameters), memory, **how)
            launched.append((kernel, access))
        return launched


class Arrays:
    """Arrays of a type in a GlobalMemory, as float32 on this side. `alignment`: of each address, in bytes, and not of
    twice as many."""

    def __init__(self, is_float32, alignment):
        self.memory, self.is_float32, self.alignment = GlobalMemory(), is_float32, alignment

    def input(self, name, values):
        stored = np.asarray(values, np.float32) if self.is_float32 else to_bfloat16(values)
        return self.memory.add_input(name, stored, self.alignment)

    def output(self, name, *shape):
        return self.memory.add_output(name, shape, np.float32 if self.is_float32 else np.uint16, self.alignment)

    def floats(self, name, values):
        return self.memory.add_input(name, np.asarray(values, np.float32), max(self.alignment, 4))

    def float_output(self, name, *shape):
        return self.memory.add_output(name, shape, np.float32, max(self.alignment, 4))

    def in_place(self, name, values, as_float=False):
        """An input that a kernel writes to."""
        address = (self.floats if as_float else self.input)(name, values)
        self.memory.allow_writes(name)
        return address

    def read(self, name):
        """A whole output; what was not written fails."""
        assert self.memory.unwritten(name) == 0
        values = self.memory.read(name)
        return from_bfloat16(values) if values.dtype == np.uint16 else values

    def round(self, values):
        return np.asarray(values, np.float32) if self.is_float32 else from_bfloat16(to_bfloat16(values))
