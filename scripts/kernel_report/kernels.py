"""The kernels by their names: compiled, disassembled, with what their headers say."""

import dataclasses
import re

from . import compilation, disassembly, minimum, occupancy

_PART = re.compile(r"(\d+)([A-Za-z_]\w*)")
_ELEMENTS = {"f": "float32", "t": "bfloat16"}
_ACCESS = re.compile(r"6AccessI([ft])Lb([01])E")


def _faults(kernel):
    if kernel.compiled.spill_bytes:
        yield f"{kernel.title}: spills {kernel.compiled.spill_bytes} bytes of registers"
    if kernel.compiled.stack_bytes or kernel.counts["LOCAL"]:
        yield (f"{kernel.title}: uses local memory, a stack of {kernel.compiled.stack_bytes} bytes "
               f"in {kernel.counts['LOCAL']} loads and stores")


@dataclasses.dataclass(frozen=True, eq=False)
class Kernel:
    architecture: str
    kernel_class: str  # ampere, float32
    name: str  # forward, query_gradient, key_value_gradient, prepare
    head_size: int
    compiled: compilation.CompiledKernel
    facts: dict  # of kernel_facts.cpp
    counts: dict  # of all instructions, by kind
    loop: disassembly.MainLoop | None
    fewest: dict | None  # instructions of a pass over a tile without a mask

    @property
    def title(self):
        return f"{self.kernel_class} {self.name} D={self.head_size} {self.architecture}"

    @property
    def shared_bytes(self):
        return self.facts["dynamic_shared_bytes"] + self.compiled.static_shared_bytes

    def faults(self):
        """Sentences; a kernel must keep everything in registers."""
        return _faults(self)

    def blocks_on(self, gpu):
        return occupancy.blocks_per_multiprocessor(gpu, self.facts["threads"],
                                                   self.compiled.registers, self.shared_bytes)


@dataclasses.dataclass(frozen=True, eq=False)
class RowKernel:
    """A kernel of csrc_kernels/cuda/rows: one pass over memory, without a main loop worth a model."""
    architecture: str
    name: str  # rms_norm_forward, ...
    element: str  # float32, bfloat16; empty where the kernel has but one
    is_aligned: bool | None  # 16 bytes at a time; None where the kernel has but one way
    compiled: compilation.CompiledKernel
    counts: dict  # of all instructions, by kind

    @property
    def title(self):
        access = {True: "16 bytes at a time", False: "by elements", None: ""}[self.is_aligned]
        return " ".join(filter(None, (self.name, self.element, access, self.architecture)))

    def faults(self):
        """As those of Kernel."""
        return _faults(self)


def _names(mangled):
    """The names of zebra::kernels::CLASS::KERNEL_kernel, and what follows them."""
    names, rest = [], mangled.removeprefix("_ZN")
    while found := _PART.match(rest):
        length, start = int(found[1]), found.end(1)
        names.append(rest[start:start + length])
        rest = rest[start + length:]
    return names, rest


def _identity(mangled):
    """(class, kernel, head size) of zebra::kernels::CLASS::KERNEL_kernel<HEAD_SIZE>."""
    names, rest = _names(mangled)
    head_size = re.match(r"ILi(\d+)E", rest)
    return names[-2], names[-1].removesuffix("_kernel"), int(head_size[1])


def _row_identity(mangled):
    """(kernel, element, is aligned) of zebra::kernels::rows::KERNEL_kernel<Access<...>> or <bool>."""
    names, rest = _names(mangled)
    name = names[-1].removesuffix("_kernel")
    if access := _ACCESS.search(rest):
        return name, _ELEMENTS[access[1]], access[2] == "1"
    flag = re.match(r"ILb([01])E", rest)
    return name, "", flag and flag[1] == "1"


def compile_row_kernels(compiler, architectures):
    """All kernels of csrc_kernels/cuda/rows, by name."""
    kernels = [RowKernel(architecture, *_row_identity(kernel.mangled), kernel,
                         disassembly.counts_of(kernel.instructions))
               for architecture, kernel in compiler.all_kernels(compilation.row_sources(), architectures)]
    return sorted(kernels, key=lambda k: k.title)


def compile_kernels(compiler, architectures):
    """All kernels of local attention, in the order of a table."""
    facts = compiler.facts()
    kernels = []
    for architecture, compiled in compiler.all_kernels(compilation.attention_sources(), architectures):
        identity = _identity(compiled.mangled)
        loop = disassembly.main_loop(compiled.instructions, compiled.labels)
        fewest = loop and minimum.of_pass(*identity[1:], facts[identity])
        kernels.append(Kernel(architecture, *identity, compiled, facts[identity],
                              disassembly.counts_of(compiled.instructions), loop, fewest))
    order = ["prepare", "forward", "query_gradient", "key_value_gradient"]
    return sorted(kernels, key=lambda k: (k.kernel_class, k.architecture, k.head_size,
                                          order.index(k.name)))
