"""Which torch scripts/setup.sh installs, with a Python that only notes what pip is asked for, and which the build takes."""

import re
import subprocess

import pytest
from conftest import ROOT

TESTED = re.search(r"^set\(ZEBRA_TORCH_TESTED (.*)\)$", (ROOT / "cmake/LibTorch.cmake").read_text(), re.MULTILINE)[1].split()
DEFAULT = re.search(r"^torch==(\S+)$", (ROOT / "scripts/requirements.txt").read_text(), re.MULTILINE)[1]
OTHER = next(version for version in TESTED if version != DEFAULT)


class Environment:
    def __init__(self, folder):
        self.folder, self.log = folder, folder / "calls"
        python = folder / "bin/python"
        python.parent.mkdir(parents=True)
        # `python -m pip install` fails where a file says so.
        python.write_text(f'#!/bin/sh\n[ "$3" = --version ] && exit\ncat "$7" >>{self.log}\n[ ! -e {folder}/broken ]\n')
        python.chmod(0o755)

    def set_up(self, *arguments, status=0):
        """The versions of torch that were asked for."""
        self.log.write_text("")
        result = subprocess.run(["bash", ROOT / "scripts/setup.sh", "--no-packages", "--venv", self.folder, *arguments],
                                capture_output=True, text=True)
        assert result.returncode == status, result.stderr
        return re.findall(r"^torch==(\S+)", self.log.read_text(), re.MULTILINE)


@pytest.fixture
def environment(tmp_path):
    return Environment(tmp_path / "venv")


def test_the_default_is_installed_once(environment):
    assert DEFAULT in TESTED and environment.set_up() == [DEFAULT]
    assert environment.set_up() == []


def test_a_chosen_version_stays(environment):
    environment.set_up()
    assert environment.set_up("--torch", OTHER) == [OTHER]
    assert environment.set_up() == environment.set_up("--torch", OTHER) == []
    assert environment.set_up("--torch", DEFAULT) == [DEFAULT]


def test_an_interrupted_installation_installs_again(environment):
    environment.set_up()
    (environment.folder / "broken").touch()
    environment.set_up("--torch", OTHER, status=1)
    (environment.folder / "broken").unlink()
    assert environment.set_up("--torch", OTHER) == [OTHER]


@pytest.mark.parametrize("arguments", [["--torch"], ["--torch", ""], ["--nonsense"]])
def test_bad_usage(environment, arguments):
    assert environment.set_up(*arguments, status=2) == []


def configure(folder, version):
    """What CMake says of a torch of this version."""
    torch = folder / "torch"
    torch.mkdir()
    if version:
        (torch / "version.py").write_text(f"from typing import Optional\n\n__version__ = '{version}'\ndebug = False\n")
    (folder / "CMakeLists.txt").write_text(f"cmake_minimum_required(VERSION 3.25)\nproject(Range LANGUAGES NONE)\n"
                                           f"include({ROOT}/cmake/LibTorch.cmake)\n")
    return subprocess.run(["cmake", "-S", folder, "-B", folder / "build", f"-DTORCH_ROOT={torch}", "-DZEBRA_CUDA=OFF"],
                          capture_output=True, text=True)


@pytest.mark.parametrize("version", [*TESTED, TESTED[0] + "+cpu", "2.13.1+cu130"])
def test_the_build_takes_the_tested_range(tmp_path, version):
    result = configure(tmp_path, version)
    assert result.returncode == 0 and "Warning" not in result.stderr, result.stderr
    assert f"LibTorch {version.split('+')[0]} from" in result.stdout


@pytest.mark.parametrize("version", ["2.9.1", "2.10.0+cu130", "2.99.0", "3.0.0"])
def test_the_build_warns_outside_of_it(tmp_path, version):
    result = configure(tmp_path, version)
    assert result.returncode == 0 and "outside of what Zebra is tested with" in " ".join(result.stderr.split())


def test_a_folder_that_is_no_torch_is_refused(tmp_path):
    result = configure(tmp_path, None)
    assert result.returncode != 0 and "no installed torch package" in " ".join(result.stderr.split())
