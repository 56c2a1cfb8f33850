"""PTX of CUDA sources, and host programs, compiled once for each content."""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

CSRC_KERNELS = pathlib.Path(__file__).resolve().parents[2] / "csrc_kernels"
FOLDERS = (CSRC_KERNELS, CSRC_KERNELS / "cuda", CSRC_KERNELS / "include")  # for #include
FLAGS = ("-std=c++20", "--expt-relaxed-constexpr")  # as csrc_kernels/CMakeLists.txt has them
CACHE = pathlib.Path(tempfile.gettempdir()) / "zebra_ptx"


def find_nvcc():
    """Its path, or None."""
    return shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")


def compile_ptx(source, flags=(), architecture="sm_80"):
    """The PTX of a .cu file."""
    command = [find_nvcc(), "-ptx", f"-arch={architecture}", *FLAGS, *flags,
               *(f"-I{folder}" for folder in FOLDERS), str(source)]
    return compiled_once(CACHE / f"{_digest(source, command)}.ptx", command).read_text()


def compiled_once(target, command):
    """`target`, a file of CACHE that `command` makes with -o; of several processes one makes it, and the others wait."""
    CACHE.mkdir(exist_ok=True)
    with open(f"{target}.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            unfinished = CACHE / f"{target.name}.{os.getpid()}"
            subprocess.run([*command, "-o", unfinished], check=True)
            unfinished.replace(target)
    return target


def _digest(source, command):
    """Of all that the PTX depends on."""
    digest = hashlib.sha256(subprocess.run([command[0], "--version"], capture_output=True,
                                           check=True).stdout)
    digest.update("\n".join(command).encode())
    headers = sorted(path for path in CSRC_KERNELS.rglob("*") if path.suffix in (".h", ".cuh"))
    for path in [pathlib.Path(source), *headers]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
