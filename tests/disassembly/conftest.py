import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from scripts.kernel_report import compilation, kernels  # noqa: E402


@pytest.fixture(scope="session")
def build_folder(tmp_path_factory):
    return (os.environ.get("ZEBRA_KERNEL_REPORT_FOLDER") or
            tmp_path_factory.mktemp("kernel_report"))


@pytest.fixture(scope="session")
def compiler(build_folder):
    return compilation.Compiler(build_folder)


@pytest.fixture(scope="session")
def cuda_compiler(compiler):
    """A Compiler that can compile CUDA."""
    try:
        for tool in (compilation.nvcc, compilation.nvdisasm, compilation.host_compiler):
            tool()
    except compilation.MissingTool as missing:
        pytest.skip(f"kernels cannot be compiled here: {missing}")
    return compiler


@pytest.fixture(scope="session")
def compiled_kernels(cuda_compiler):
    return kernels.compile_kernels(cuda_compiler, ["sm_80", "sm_90"])
