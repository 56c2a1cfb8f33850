"""Rules of the house that a compiler does not check."""

import re
import subprocess

from conftest import ROOT

FOLDERS = ["zebra_kernels", "base", "config", "ops", "data", "model", "optim", "distributed", "checkpoint", "interop", "eval",
           "measurement", "train", "ablation", "cli"]
# Only here may a device be named; everything else takes the device of its tensors, or one that it is given.
MAY_NAME_DEVICES = {"src/model/placement.cpp"}


def sources():
    for folder in ("src", "csrc_kernels"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".h", ".cpp", ".cu", ".cuh"):
                yield path


def test_no_hard_coded_devices():
    # torch::kCPU as the destination of a copy to the host is device-neutral.
    named = re.compile(r"kCUDA|\.cuda\(|DeviceType::CUDA|torch::Device\(\s*\"|Device\(torch::kCPU|device\(torch::kCPU")
    for path in sources():
        name = str(path.relative_to(ROOT))
        if name in MAY_NAME_DEVICES or name.startswith("csrc_kernels/cuda"):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert not named.search(line), f"{name}:{number}: {line.strip()}"


def test_data_flows_one_way():
    """A folder includes only itself and folders below it."""
    for path in sources():
        parts = path.relative_to(ROOT).parts
        if parts[0] != "src" or len(parts) < 3:
            continue
        own = FOLDERS.index(parts[1])
        for include in re.findall(r'#include "(\w+)/', path.read_text()):
            assert FOLDERS.index(include) <= own, f"{path.relative_to(ROOT)} includes {include}"


def test_every_test_file_mirrors_a_source():
    """tests/FOLDER/test_NAME.cpp, or test_NAME_ASPECT.cpp, tests NAME. The tests of the emulation test a tool of the tests."""
    for path in sorted((ROOT / "tests").glob("*/test_*.cpp")):
        folder, name = path.parent.name, path.stem.removeprefix("test_")
        if folder == "emulation":
            continue
        rooms = [ROOT / "src" / folder]
        if folder == "csrc_kernels":
            rooms = [ROOT / "csrc_kernels/cpu", ROOT / "csrc_kernels/include/zebra_kernels"]
        sources = {source.stem for room in rooms for source in room.iterdir() if source.suffix in (".h", ".cpp")}
        assert any(name == source or name.startswith(f"{source}_") for source in sources), \
            f"{path.relative_to(ROOT)} tests nothing in {', '.join(str(room.relative_to(ROOT)) for room in rooms)}"


def test_no_unfinished_marks():
    for path in sources():
        assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b|#if 0", path.read_text()), path


def test_shell_scripts_parse():
    for path in [*ROOT.glob("scripts/**/*.sh"), ROOT / ".ci/run"]:
        subprocess.run(["bash", "-n", path], check=True)
