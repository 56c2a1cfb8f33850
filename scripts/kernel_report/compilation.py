"""Compiles the CUDA sources, and asks the compiler, the disassembler and the headers about them.

Whatever a tool prints or writes is kept in a folder under a hash of the sources, the command and
the tool's version, so that nothing runs twice.
"""

import concurrent.futures
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sysconfig

from . import disassembly

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ROOT / "csrc_kernels"
_INCLUDE = SOURCES / "include"
_NVCC_OPTIONS = ["-std=c++20", "-O3", "--expt-relaxed-constexpr", "-I", str(_INCLUDE)]
_HOST_OPTIONS = ["-std=c++20", "-O1", "-w", "-I", str(SOURCES / "cuda"), "-I", str(_INCLUDE),
                 "-I", str(ROOT / "tests" / "emulation")]
_PTXAS_NUMBERS = re.compile(
    r"Function properties for (?P<name>\w+)\n\s*(?P<stack>\d+) bytes stack frame, "
    r"(?P<spill_stores>\d+) bytes spill stores, (?P<spill_loads>\d+) bytes spill loads\n"
    r"[^\n]*Used (?P<registers>\d+) registers(?:[^\n]*?(?P<shared>\d+) bytes smem)?")


class MissingTool(RuntimeError):
    """A program that the report needs is not on this machine."""


@dataclasses.dataclass(frozen=True)
class CompiledKernel:
    """What ptxas says of one kernel, and its disassembly."""
    source: pathlib.Path
    mangled: str
    registers: int
    stack_bytes: int
    spill_bytes: int
    static_shared_bytes: int
    instructions: list
    labels: dict


def _tool(name, places):
    """The first of PATH and the given folders that has it."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, places)])
    if found := shutil.which(name, path=path):
        return found
    raise MissingTool(f"{name} is neither in PATH nor in " + " or ".join(map(str, places)))


def _toolkit():
    return pathlib.Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "bin"


def nvcc():
    return _tool("nvcc", [_toolkit()])


def nvdisasm():
    # Beside the toolkit's own: torch brings one with triton.
    triton = pathlib.Path(sysconfig.get_path("purelib")) / "triton/backends/nvidia/bin"
    return _tool("nvdisasm", [_toolkit(), triton])


def host_compiler():
    return _tool(os.environ.get("CXX", "g++"), ["/usr/bin"])


def attention_sources():
    return sorted(set((SOURCES / "cuda").rglob("*.cu")) - set(row_sources()))


def row_sources():
    return sorted((SOURCES / "cuda" / "rows").glob("*.cu"))


@functools.cache
def _version(tool):
    return subprocess.run([tool, "--version"], check=True, capture_output=True).stdout


@functools.cache
def _hash_of_headers():
    digest = hashlib.sha256()
    for folder in (SOURCES, ROOT / "tests" / "emulation"):
        for path in sorted(folder.rglob("*.h")):
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.digest()


class Compiler:
    """`folder` keeps results; it is made where it is missing."""

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)

    def all_kernels(self, sources, architectures):
        """(architecture, kernel) for each kernel of all sources; compiles on all cores."""
        pairs = [(source, architecture) for architecture in architectures for source in sources]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            compiled = list(pool.map(lambda pair: self.kernels(*pair), pairs))
        return [(architecture, kernel) for (_, architecture), kernels in zip(pairs, compiled) for kernel in kernels]

    def kernels(self, source, architecture):
        """Every kernel of a CUDA source for an architecture such as "sm_80"."""
        command = [nvcc(), *_NVCC_OPTIONS, f"-arch={architecture}", "-Xptxas", "-v", "-cubin"]
        cubin = self._kept(command, source, ".cubin")
        messages = cubin.with_suffix(".ptxas")
        if not cubin.exists():
            made = cubin.with_suffix(f".{os.getpid()}")
            messages.write_text(_run([*command, source, "-o", made]).stderr)
            made.rename(cubin)
        listing = cubin.with_suffix(".sass")
        if not listing.exists():
            made = listing.with_suffix(f".{os.getpid()}")
            made.write_text(_run([nvdisasm(), "-c", cubin]).stdout)
            made.rename(listing)
        functions = disassembly.parse(listing.read_text())
        return [
            CompiledKernel(source, found["name"], int(found["registers"]), int(found["stack"]),
                           int(found["spill_stores"]) + int(found["spill_loads"]),
                           int(found["shared"] or 0), *functions[found["name"]])
            for found in _PTXAS_NUMBERS.finditer(messages.read_text())
        ]

    def facts(self):
        """{(class, kernel, head size): what the headers say}, as kernel_facts.cpp prints it."""
        output = self.run_host_program(pathlib.Path(__file__).with_name("kernel_facts.cpp"))
        return {(fact["class"], fact["kernel"], fact["head_size"]): fact
                for fact in json.loads(output)}

    def run_host_program(self, source):
        """The output of a C++ program that includes the kernels' headers with the emulated device
        in place of CUDA."""
        command = [host_compiler(), *_HOST_OPTIONS]
        program = self._kept(command, source, ".program")
        if not program.exists():
            made = program.with_suffix(f".{os.getpid()}")
            _run([*command, source, "-o", made])
            made.rename(program)
        return _run([program]).stdout

    def _kept(self, command, source, suffix):
        digest = hashlib.sha256(repr(command).encode() + _version(command[0]) + _hash_of_headers())
        digest.update(source.read_bytes())
        name = f"{source.parent.name}-{source.stem}-{digest.hexdigest()[:16]}{suffix}"
        return self._folder / name


def _run(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done
