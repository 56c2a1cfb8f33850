"""Rules of the house that a compiler does not check."""

import re
import subprocess

from conftest import ROOT

FOLDERS = ["zebra_kernels", "base", "config", "ops", "cuda", "data", "model", "plan", "optim", "distributed", "checkpoint", "interop", "eval",
           "train", "bench", "ablation", "watch", "cli"]
# Only here is a device chosen; everything else takes the device of its tensors, or one that it is given.
CHOOSES_DEVICES = "src/model/placement.cpp"
# Files, or folders, whose code depends on which device that is, each with the reason. All other code is the same on every
# device: what it needs to know of one it asks these.
BRANCH_ON_DEVICES = {
    CHOOSES_DEVICES: "chooses the device, and knows its memory",
    "csrc_kernels/cuda/": "the kernels of one device",
    "src/ops/": "each operator calls the kernel of its tensors' device",
    "src/cuda/": "LibTorch's CUDA library, called by name",
    "src/distributed/communicator.cpp": "NCCL between GPUs, Gloo between CPUs",
    "src/checkpoint/host_copy.cpp": "page-locked memory, and waiting for copies into it",
    "src/checkpoint/model_state.cpp": "memory of tensors is reused on the CPU",
    "src/train/metrics.cpp": "values arrive on the host later than on the CPU",
    "src/train/device_figures.cpp": "memory and peak rate of one device",
    "src/train/trainer.cpp": "memory of tensors is reused on the CPU; ranges for NVIDIA's profilers",
    "src/bench/": "meters of one device: clock, memory, name, profiler",
    "src/ablation/preparation.cpp": "arms on the CPU share its memory",
    "src/cli/ablate.cpp": "a GPU of its own for each job",
    "src/cli/training_job.cpp": "page-locked batches",
}


def sources():
    for folder in ("src", "csrc_kernels"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".h", ".cpp", ".cu", ".cuh"):
                yield path


def without_comments(path):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)


def test_devices_are_chosen_in_one_place():
    # torch::kCPU as the destination of a copy to the host is device-neutral.
    named = re.compile(r"kCUDA|\.cuda\(|DeviceType::CUDA|torch::Device\(\s*\"|Device\(torch::kCPU|device\(torch::kCPU|"
                       r"cuda::(is_available|device_count)")
    for path in sources():
        name = str(path.relative_to(ROOT))
        if name != CHOOSES_DEVICES and not name.startswith("csrc_kernels/cuda"):
            assert not named.search(without_comments(path)), f"{name} names a device"


def test_few_files_branch_on_the_device():
    """Whoever must branch says why in BRANCH_ON_DEVICES; whoever does so no more, is taken from it."""
    branches = re.compile(r"\bis_(cuda|cpu|meta|xpu|mps)\b|kCUDA|ZEBRA_WITH_CUDA|__CUDACC__|device_type\(\)|"
                          r"device(_|\(\))?\.type\(\) *[!=]=|DeviceType::|hasCUDA|cuda::")
    names = [str(path.relative_to(ROOT)) for path in sources() if branches.search(without_comments(path))]
    unlisted = [name for name in names if not name.startswith(tuple(BRANCH_ON_DEVICES))]
    assert not unlisted, f"{unlisted} branch on the device: use an operator or a question of src/model/placement.h, or " \
        "list the file with its reason"
    idle = [place for place in BRANCH_ON_DEVICES if not any(name.startswith(place) for name in names)]
    assert not idle, f"{idle} do not branch on the device any more: take them from the list"


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
