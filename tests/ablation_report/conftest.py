"""Fixtures of the tests of scripts/ablation_report and scripts/plot_cost.py."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
sys.path.insert(0, str(SCRIPTS))

import synthetic  # noqa: E402


def run(script, *arguments, status=0, **options):
    """Runs a script with warnings as errors; (standard output, standard error)."""
    done = subprocess.run([sys.executable, "-W", "error", SCRIPTS / script, *map(str, arguments)],
                          capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == status, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr


@pytest.fixture(scope="session")
def known():
    return synthetic.known_study()


@pytest.fixture(scope="session")
def known_report(known, tmp_path_factory):
    """The folder with the report of the known study."""
    folder = tmp_path_factory.mktemp("known")
    (folder / "results.json").write_text(json.dumps(known))
    run("ablation_report", folder / "results.json", "--output", folder / "report")
    return folder / "report"


@pytest.fixture
def read(tmp_path):
    """results_file.read of results that are not in a file yet."""
    from ablation_report import results_file

    def read_results(results):
        path = tmp_path / "results.json"
        path.write_text(json.dumps(results))
        return results_file.read(path)
    return read_results
