"""The machine, and the Python environment that the benchmarks' peers run in, apart from the project's own."""

import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CPU_INDEX = "https://download.pytorch.org/whl/cpu"  # wheels without CUDA, a tenth of the size


def pinned_torch():
    """The release of torch that the project is built with, as pip writes it."""
    return re.search(r"^torch==\S+$", (ROOT / "scripts/requirements.txt").read_text(), re.MULTILINE)[0]


def gpus():
    """Their names."""
    if shutil.which("nvidia-smi") is None:
        return []
    result = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True)
    return result.stdout.strip().splitlines() if result.returncode == 0 else []


def about_processor(name):
    """What the system says of it under that name; "" where it says nothing."""
    found = re.search(rf"^{name}\s*: (.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else ""


def instruction_sets():
    """Those that products and attention are made of, as the system names them."""
    return sorted(flag for flag in about_processor("flags").split() if re.match(r"avx|amx|fma$", flag))


def machine():
    """The processor's name, as far as the system tells, its instruction sets, cores and GPUs."""
    return {"processor": about_processor("model name") or platform.machine(), "instruction_sets": instruction_sets(),
            "cores": os.cpu_count(), "gpus": gpus()}


def install_torch(pip, release):
    """Without a GPU the small build where its index can be reached, else the one of the usual index."""
    if not gpus():
        if subprocess.run([*pip, release, "--retries", "1", "--index-url", CPU_INDEX]).returncode == 0:
            return
        print(f"{CPU_INDEX} did not give it: installing the build with CUDA", file=sys.stderr, flush=True)
    subprocess.run([*pip, release], check=True)


def python_of(folder):
    """The interpreter of the environment in `folder`, which is made when need be. Ends the program with status 1 when that
    fails."""
    python, stamp = folder / "bin/python", folder / "installed.txt"
    packages = [pinned_torch(), "numpy", "safetensors", "sentencepiece", "tokenizers"]
    text = "\n".join([*packages, "with a GPU" if gpus() else "without a GPU"]) + "\n"
    if stamp.exists() and stamp.read_text() == text:
        return python
    if folder.exists() and not (folder / "pyvenv.cfg").exists():
        print(f"bench_environment: {folder} is there and is no Python environment; give another folder", file=sys.stderr)
        sys.exit(2)
    print(f"Installing {', '.join(packages)} into {folder}", file=sys.stderr, flush=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install_torch(pip, packages[0])
        subprocess.run([*pip, *packages[1:]], check=True)
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench_environment: {error}; or give an interpreter that has {', '.join(packages)}: --python FILE")
    stamp.write_text(text)
    return python
