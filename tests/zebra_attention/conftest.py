"""The wheel that scripts/wheels.sh has made, unpacked and first on the path: what is tested is the file that is given to
people. ZEBRA_WHEEL names another file, as when the same file is tested with another version of torch."""

import os
import pathlib
import sys
import tempfile
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The models are tiny: one thread is nearly as fast as several, and several that wait for a busy core are far slower. Here,
# before anything of the tests loads torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"


def find_wheel():
    if "ZEBRA_WHEEL" in os.environ:
        return pathlib.Path(os.environ["ZEBRA_WHEEL"])
    wheels = sorted(ROOT.glob("dist/zebra_attention-*.whl"))
    if len(wheels) != 1:
        pytest.exit(f"dist/ has {len(wheels)} wheels of zebra_attention, not one: run scripts/wheels.sh", returncode=2)
    return wheels[0]


WHEEL = find_wheel()
_folder = tempfile.TemporaryDirectory(prefix="zebra_attention-")
INSTALLED = pathlib.Path(_folder.name)
with zipfile.ZipFile(WHEEL) as archive:
    archive.extractall(INSTALLED)
sys.path.insert(0, str(INSTALLED))


@pytest.fixture
def environment():
    """Of a program of its own that imports the package."""
    return {**os.environ, "PYTHONPATH": str(INSTALLED)}
