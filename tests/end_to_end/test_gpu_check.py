"""scripts/gpu_check.sh as far as it goes without a GPU."""

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

NVCC = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")


@pytest.mark.skipif(NVCC is None, reason="nvcc is not there")
def test_device_tests_compile(tmp_path):
    subprocess.run(["bash", ROOT / "scripts/gpu_check.sh", "--compile-only", tmp_path], check=True)
    assert (tmp_path / "check_primitives").exists() and (tmp_path / "check_local_attention").exists()


def test_wrong_option_is_refused():
    result = subprocess.run(["bash", ROOT / "scripts/gpu_check.sh", "--fast"], capture_output=True, text=True)
    assert result.returncode == 2 and "usage" in result.stderr


@pytest.mark.skipif(NVCC is None, reason="CUDA's headers are not there")
def test_launches_ask_once_and_leave_no_error(tmp_path):
    cuda = Path(NVCC).resolve().parent.parent
    program = tmp_path / "check_launch"
    subprocess.run(["c++", "-std=c++20", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/csrc_kernels/cuda", f"-isystem{cuda}/include",
                    ROOT / "tests/gpu/check_launch.cpp", "-o", program], check=True)
    subprocess.run([program], check=True)
