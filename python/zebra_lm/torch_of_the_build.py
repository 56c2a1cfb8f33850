"""Version and dependencies of the wheel: LibTorch's C++ interface breaks with each minor release, so a wheel is for one."""

import os
import pathlib
import re

VERSION = re.compile(r"^project\(Zebra VERSION ([0-9.]+)", re.MULTILINE)
TORCH_MINOR = re.compile(r"^__version__ = '(\d+\.\d+)", re.MULTILINE)
# Of the scripts that the command runs: plots, and the report of studies.
SCRIPTS = ["matplotlib>=3.8", "numpy>=2.0", "scipy>=1.14"]


def dynamic_metadata(settings, project):
    version = VERSION.search(pathlib.Path("../../CMakeLists.txt").read_text())[1]
    torch = TORCH_MINOR.search((pathlib.Path(os.environ["TORCH_ROOT"]) / "version.py").read_text())[1]
    return {"version": f"{version}+torch{torch}", "dependencies": [f"torch=={torch}.*", *SCRIPTS]}
