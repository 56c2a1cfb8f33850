"""What the compiler made of the AMX kernels: tests of processors without AMX run them with the instructions emulated."""

import collections
import os
import pathlib
import platform
import re
import subprocess

import pytest

BUILD = pathlib.Path(os.environ.get("ZEBRA_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))


@pytest.fixture(scope="module")
def functions():
    """Instruction counts by function."""
    if platform.machine() != "x86_64":
        pytest.skip("AMX belongs to x86-64")
    objects = list((BUILD / "csrc_kernels/CMakeFiles/zebra_kernels_amx_bf16.dir").rglob("*.o"))
    assert objects, f"{BUILD} holds no AMX kernels: build it first"
    listing = subprocess.run(["objdump", "-d", "-C", "--no-show-raw-insn", *objects], check=True, capture_output=True,
                             text=True).stdout
    found, current = {}, None
    for line in listing.splitlines():
        if heading := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            current = found.setdefault(heading[1], collections.Counter())
        elif instruction := re.match(r"\s+[0-9a-f]+:\s+(\w+)", line):
            current[instruction[1]] += 1
    return found


def test_products_are_made_of_tiles(functions):
    (multiply,) = [counts for name, counts in functions.items() if "::multiply(" in name]
    assert multiply["tdpbf16ps"] == 4
    assert multiply["tileloadd"] == 4 + 4, "the sums where they are added to; two left and two right operands"
    assert multiply["tilezero"] == multiply["tilestored"] == 4
    assert sum(counts["tdpbf16ps"] for counts in functions.values()) == 4, "all products go through multiply()"


def test_each_task_configures_and_releases_its_tiles(functions):
    total = sum(functions.values(), collections.Counter())
    assert total["ldtilecfg"] == 2, "forward and backward"
    assert total["tilerelease"] >= 2, "and where an exception leaves them"


def test_weights_are_computed_by_few_instructions(functions):
    total = sum(functions.values(), collections.Counter())
    assert total["vscalefps"] > 0
    assert total["vcvtne2ps2bf16"] > 0, "two vectors are rounded by one instruction"
    assert not [name for name in functions if "emulated" in name]
