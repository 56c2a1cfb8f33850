"""Which torch scripts/setup.sh installs, with a Python that only notes what pip is asked for."""

import re
import subprocess

import pytest
from conftest import ROOT

TESTED = re.search(r"^set\(ZEBRA_TORCH_TESTED (.*)\)$", (ROOT / "cmake/LibTorch.cmake").read_text(), re.MULTILINE)[1].split()


class Environment:
    def __init__(self, folder):
        self.folder, self.log = folder, folder / "calls"
        python = folder / "bin/python"
        python.parent.mkdir(parents=True)
        # `python -m pip install` fails where a file says so.
        python.write_text(f'#!/bin/sh\n[ "$3" = --version ] && exit\necho "$@" >>{self.log}\n[ ! -e {folder}/broken ]\n')
        python.chmod(0o755)

    def set_up(self, *arguments, status=0):
        """The versions of torch that were asked for."""
        self.log.write_text("")
        result = subprocess.run(["bash", ROOT / "scripts/setup.sh", "--no-packages", "--venv", self.folder, *arguments],
                                capture_output=True, text=True)
        assert result.returncode == status, result.stderr
        return re.findall(r"torch==(\S+)", self.log.read_text())


@pytest.fixture
def environment(tmp_path):
    return Environment(tmp_path / "venv")


def test_the_default_is_installed_once(environment):
    assert environment.set_up() == [TESTED[0]]
    assert environment.set_up() == []


def test_a_chosen_version_stays(environment):
    environment.set_up()
    assert environment.set_up("--torch", TESTED[-1]) == [TESTED[-1]]
    assert environment.set_up() == environment.set_up("--torch", TESTED[-1]) == []
    assert environment.set_up("--torch", TESTED[0]) == [TESTED[0]]


def test_an_interrupted_installation_installs_again(environment):
    environment.set_up()
    (environment.folder / "broken").touch()
    environment.set_up("--torch", TESTED[-1], status=1)
    (environment.folder / "broken").unlink()
    assert environment.set_up("--torch", TESTED[-1]) == [TESTED[-1]]


@pytest.mark.parametrize("arguments", [["--torch"], ["--torch", ""], ["--nonsense"]])
def test_bad_usage(environment, arguments):
    assert environment.set_up(*arguments, status=2) == []
