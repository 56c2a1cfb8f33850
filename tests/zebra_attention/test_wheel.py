"""The file itself: its tag, what its libraries need, and that they hold to the stable part of LibTorch's interface."""

import re
import subprocess

import pytest
from conftest import INSTALLED, WHEEL

LIBRARIES = sorted(INSTALLED.glob("zebra_attention/*.so"))
SYSTEM = {"libstdc++.so.6", "libm.so.6", "libgcc_s.so.1", "libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}


def readelf(option, library):
    return subprocess.run(["readelf", "--wide", option, library], check=True, capture_output=True, text=True).stdout


def test_content():
    names = {path.name for path in LIBRARIES}
    assert "libzebra_attention_cpu.so" in names and names <= {"libzebra_attention_cpu.so", "libzebra_attention_cuda.so"}
    assert list(INSTALLED.glob("*.dist-info/licenses/LICENSE"))
    files = {path.relative_to(INSTALLED).parts[0] for path in INSTALLED.rglob("*") if path.is_file()}
    assert files == {"zebra_attention", "zebra_attention-0.1.0.dist-info"}, "no headers, no archives"


def test_any_python_and_the_glibc_that_is_needed():
    tag = re.fullmatch(r"zebra_attention-[0-9.]+-py3-none-manylinux_2_(\d+)_\w+\.whl", WHEEL.name)
    assert tag, WHEEL.name
    for library in LIBRARIES:
        needed = {int(minor) for minor in re.findall(r"GLIBC_2\.(\d+)", readelf("--version-info", library))}
        assert max(needed) <= int(tag[1])


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda path: path.name)
def test_needs_torch_and_the_system_alone(library):
    dynamic = readelf("--dynamic", library)
    assert "RPATH" not in dynamic and "RUNPATH" not in dynamic, "torch is loaded already"
    torch_libraries = {"libtorch_cpu.so"} | ({"libtorch_cuda.so"} if "cuda" in library.name else set())
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    assert torch_libraries <= needed <= torch_libraries | SYSTEM


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda path: path.name)
def test_symbols_of_torch_are_its_stable_ones(library):
    """C functions; a name of C++ would tie the library to one version of torch."""
    symbols = re.findall(r"UND ([^\s@]+)(@\S+)?", readelf("--dyn-syms", library))
    from_torch = {name for name, version in symbols if not version}  # those of glibc and GCC have a version
    allowed = re.compile(r"(aoti_)?torch_\w+|__gmon_start__|_ITM_\w+|__cxa_finalize")
    assert not [name for name in from_torch if not allowed.fullmatch(name)]
    assert any(name.startswith("aoti_torch_library_") for name in from_torch)
    exported = re.findall(r"(?:GLOBAL|WEAK)\s+DEFAULT\s+\d+\s+(\S+)", readelf("--dyn-syms", library))
    assert not [name for name in exported if "zebra" in name], "ours would shadow another library's"
