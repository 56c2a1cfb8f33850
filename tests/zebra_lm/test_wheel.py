"""The wheel zebra_lm that scripts/wheels.sh has made: its tag, what it holds, and that beside torch it needs only what every
Linux has. from_wheels.sh, beside this file, installs it and trains with it."""

import os
import pathlib
import re
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYSTEM = {"libstdc++.so.6", "libm.so.6", "libgcc_s.so.1", "libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
TORCH = {"libtorch_cpu.so", "libtorch_cuda.so", "libc10.so", "libc10_cuda.so", "libgomp.so.1"}


def find_wheel():
    if "ZEBRA_LM_WHEEL" in os.environ:
        return pathlib.Path(os.environ["ZEBRA_LM_WHEEL"])
    wheels = sorted(ROOT.glob("dist/zebra_lm-*.whl"))
    if not wheels:
        pytest.exit("dist/ has no wheel of zebra_lm: run scripts/wheels.sh lm", returncode=2)
    return max(wheels, key=lambda path: path.stat().st_mtime)


WHEEL = find_wheel()
TORCH_MINOR = re.search(r"\+torch(\d+\.\d+)-", WHEEL.name)[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zebra_lm")
    with zipfile.ZipFile(WHEEL) as archive:
        archive.extractall(folder)
        for entry in archive.infolist():
            (folder / entry.filename).chmod(entry.external_attr >> 16 & 0o777 | 0o400)
    return folder


def readelf(option, file):
    return subprocess.run(["readelf", "--wide", option, file], check=True, capture_output=True, text=True).stdout


def programs(installed):
    package = installed / "zebra_lm"
    return [package / "bin/zebra", *(path for path in package.glob("lib/*") if not path.is_symlink())]


def test_holds_the_command_and_what_goes_with_it(installed):
    package = installed / "zebra_lm"
    assert os.access(package / "bin/zebra", os.X_OK)
    for path in ("scripts/ablation_report/__main__.py", "scripts/ablation_advice.py", "scripts/plot_cost.py",
                 "scripts/huggingface/modeling_zebra.py", "scripts/quickstart.sh", "configs/quickstart.yaml"):
        assert (package / "share/zebra" / path).is_file(), path
    assert {path.name for path in package.iterdir()} <= {"__init__.py", "bin", "lib", "share"}, "no headers, no archives"
    licenses = {path.name for path in installed.glob("*.dist-info/licenses/*")}
    assert "LICENSE" in licenses
    for library in package.glob("lib/*"):
        if library.name == "libzebra_cuda.so":
            continue  # our own
        assert library.name.split(".")[0].removesuffix("_train") in licenses, f"no notice of {library.name}"


def test_asks_for_one_minor_release_of_torch(installed):
    metadata = next(installed.glob("*.dist-info/METADATA")).read_text()
    assert f"Requires-Dist: torch=={TORCH_MINOR}.*" in metadata
    entries = next(installed.glob("*.dist-info/entry_points.txt")).read_text()
    assert "zebra = zebra_lm:zebra" in entries and "zebra-quickstart = zebra_lm:quickstart" in entries


def test_any_python_and_the_glibc_that_is_needed(installed):
    tag = re.fullmatch(r"zebra_lm-[0-9.]+\+torch[0-9.]+-py3-none-manylinux_2_(\d+)_\w+\.whl", WHEEL.name)
    assert tag, WHEEL.name
    for program in programs(installed):
        versions = readelf("--version-info", program)
        assert max(int(minor) for minor in re.findall(r"GLIBC_2\.(\d+)", versions)) <= int(tag[1])
        if any(int(patch) >= 30 for patch in re.findall(r"GLIBCXX_3\.4\.(\d+)", versions)):
            assert int(tag[1]) >= 35, "libstdc++ of GCC 12: the distributions of glibc 2.35 and later"


def test_needs_torch_the_system_and_what_it_carries(installed):
    carried = {path.name for path in installed.glob("zebra_lm/lib/*")}
    for program in programs(installed):
        dynamic = readelf("--dynamic", program)
        assert set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)) <= SYSTEM | TORCH | carried, program.name
    path = re.search(r"\(RUNPATH\).*\[(.*)\]", readelf("--dynamic", installed / "zebra_lm/bin/zebra"))[1]
    assert path.split(":") == ["$ORIGIN/../lib", "$ORIGIN/../../torch/lib"]


def run_entry(folder, *arguments):
    """The command as `pip install` makes it, with the packages of `folder` and no others."""
    program = f"import sys; sys.path.append({str(folder)!r}); import zebra_lm; zebra_lm.zebra()"
    return subprocess.run([sys.executable, "-I", "-S", "-c", program, *arguments], capture_output=True, text=True)


def fake_torch(folder, version):
    (folder / "torch/lib").mkdir(parents=True)
    (folder / "torch/__init__.py").write_text("raise ImportError('the command needs no torch in Python')")
    (folder / f"torch-{version}.dist-info").mkdir()
    (folder / f"torch-{version}.dist-info/METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")


def linked(installed, folder):
    for path in installed.iterdir():
        (folder / path.name).symlink_to(path)
    return folder


def test_another_torch_or_none_is_one_message(installed, tmp_path):
    (tmp_path / "none").mkdir()
    result = run_entry(linked(installed, tmp_path / "none"), "--version")
    assert result.returncode == 2 and "has none" in result.stderr and f"torch=={TORCH_MINOR}.*" in result.stderr
    (tmp_path / "other").mkdir()
    fake_torch(tmp_path / "other", "2.9.1")
    result = run_entry(linked(installed, tmp_path / "other"), "--version")
    assert result.returncode == 2 and "torch here is 2.9.1" in result.stderr
