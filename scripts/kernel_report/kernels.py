"""The kernels by their names: compiled, disassembled, with what their headers say."""

import dataclasses
import re

from . import compilation, disassembly, minimum, occupancy

_PART = re.compile(r"(\d+)([A-Za-z_]\w*)")


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
        if self.compiled.spill_bytes:
            yield f"{self.title}: spills {self.compiled.spill_bytes} bytes of registers"
        if self.compiled.stack_bytes or self.counts["LOCAL"]:
            yield (f"{self.title}: uses local memory, a stack of {self.compiled.stack_bytes} bytes "
                   f"in {self.counts['LOCAL']} loads and stores")

    def blocks_on(self, gpu):
        return occupancy.blocks_per_multiprocessor(gpu, self.facts["threads"],
                                                   self.compiled.registers, self.shared_bytes)


def _identity(mangled):
    """(class, kernel, head size) of zebra::kernels::CLASS::KERNEL_kernel<HEAD_SIZE>."""
    names, rest = [], mangled.removeprefix("_ZN")
    while found := _PART.match(rest):
        length, start = int(found[1]), found.end(1)
        names.append(rest[start:start + length])
        rest = rest[start + length:]
    head_size = re.match(r"ILi(\d+)E", rest)
    return names[-2], names[-1].removesuffix("_kernel"), int(head_size[1])


def compile_kernels(compiler, architectures):
    """All kernels of csrc_kernels/cuda, in the order of a table."""
    facts = compiler.facts()
    kernels = []
    for architecture in architectures:
        for source in compilation.cuda_sources():
            for compiled in compiler.kernels(source, architecture):
                identity = _identity(compiled.mangled)
                loop = disassembly.main_loop(compiled.instructions, compiled.labels)
                fewest = loop and minimum.of_pass(*identity[1:], facts[identity])
                kernels.append(Kernel(architecture, *identity, compiled, facts[identity],
                                      disassembly.counts_of(compiled.instructions), loop, fewest))
    order = ["prepare", "forward", "query_gradient", "key_value_gradient"]
    return sorted(kernels, key=lambda k: (k.kernel_class, k.architecture, k.head_size,
                                          order.index(k.name)))
