"""`cmake --install` and `find_package(Zebra)`: the example trains one block alone."""

import subprocess
import sys

from conftest import BUILD, ROOT


def run(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_example_builds_against_the_installed_package_and_trains(tmp_path):
    run("cmake", "--install", BUILD, "--prefix", tmp_path / "prefix")
    assert "zebra 0." in run(tmp_path / "prefix/bin/zebra", "--version")
    for script in ("ablation_report", "plot_cost.py"):
        assert "usage:" in run(sys.executable, tmp_path / "prefix/share/zebra/scripts" / script, "--help")
    for script in ("modeling_zebra.py", "bin_to_safetensors.py"):
        assert (tmp_path / "prefix/share/zebra/scripts/huggingface" / script).is_file()
    run("cmake", "-S", ROOT / "examples/train_block", "-B", tmp_path / "build", "-G", "Ninja",
        f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}", "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", tmp_path / "build")
    lines = run(tmp_path / "build/train_block").split()
    first, last = float(lines[0]), float(lines[-1])
    assert last < 0.6 * first
