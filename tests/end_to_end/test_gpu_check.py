"""scripts/gpu_check.sh and scripts/gpu_bundle.sh as far as they go without a GPU."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from conftest import BUILD, ROOT

NVCC = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")


def check(*options, status, **environment):
    result = subprocess.run(["bash", ROOT / "scripts/gpu_check.sh", *options], capture_output=True, text=True, timeout=600,
                            env={**os.environ, "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}", **environment})
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_wrong_options_are_refused(tmp_path):
    assert "usage" in check("--fast", status=2)
    assert "no build folder" in check(status=2, ZEBRA_BUILD=str(tmp_path))
    result = subprocess.run(["bash", ROOT / "scripts/gpu_bundle.sh", "--fast"], capture_output=True, text=True)
    assert result.returncode == 2 and "usage" in result.stderr


@pytest.mark.skipif(NVCC is None, reason="CUDA's headers are not there")
def test_launches_ask_once_and_leave_no_error(tmp_path):
    cuda = pathlib.Path(NVCC).resolve().parent.parent
    program = tmp_path / "check_launch"
    subprocess.run(["c++", "-std=c++20", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/csrc_kernels/cuda", f"-isystem{cuda}/include",
                    ROOT / "tests/gpu/check_launch.cpp", "-o", program], check=True)
    subprocess.run([program], check=True)


def test_a_folder_that_is_not_portable_makes_no_bundle(tmp_path):
    (tmp_path / "CMakeCache.txt").write_text("ZEBRA_PORTABLE:BOOL=OFF\n")
    result = subprocess.run(["bash", ROOT / "scripts/gpu_bundle.sh", tmp_path], capture_output=True, text=True)
    assert result.returncode == 2 and "no portable build" in result.stderr


@pytest.mark.skipif(not (BUILD / "tests/check_primitives").exists(), reason="a build without CUDA")
def test_the_built_programs_start_and_say_that_there_is_no_gpu(tmp_path):
    """Not those that need data, whose tokenizer takes half a minute."""
    subprocess.run(["cmake", "--install", BUILD, "--component", "gpu", "--prefix", tmp_path / "tree"], check=True, capture_output=True)
    steps = ["lane_layouts", "hopper", "local_attention", "row_kernels", "operators", "trainer", "nccl", "attention"]
    result = subprocess.run(["bash", tmp_path / "tree/run.sh", "--dry-run", "--only", ",".join(steps), tmp_path / "results"],
                            capture_output=True, text=True, timeout=600,
                            env={**os.environ, "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"})
    outcomes = {step["name"]: step["outcome"] for step in json.loads((tmp_path / "results/results.json").read_text())["steps"]}
    assert outcomes == dict.fromkeys(steps, "no GPU"), (tmp_path / "results/log.txt").read_text()
    assert result.returncode == 1
