"""What the compiler made of the float32 products of attention."""

import os
import pathlib
import platform
import re
import subprocess

import pytest

BUILD = pathlib.Path(os.environ.get("ZEBRA_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))


def blocks(instruction_set):
    """The instructions of each register block of a float32 product, in order."""
    objects = list((BUILD / f"csrc_kernels/CMakeFiles/zebra_kernels_{instruction_set}.dir").rglob("*.o"))
    assert objects, f"{BUILD} holds no {instruction_set} kernels: build it first"
    listing = subprocess.run(["objdump", "-d", "-C", "--no-show-raw-insn", *objects], check=True, capture_output=True,
                             text=True).stdout
    found, current = {}, []
    for line in listing.splitlines():
        if heading := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            current = found.setdefault(heading[1], [])
        elif instruction := re.match(r"\s+[0-9a-f]+:\s+(\w+)\s*(.*)", line):
            current.append(instruction.groups())
    return [body for name, body in found.items() if "::multiply_block<" in name and "FloatProduct" in name]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="AVX belongs to x86-64")
@pytest.mark.parametrize("instruction_set", ["avx2", "avx512"])
def test_a_word_of_the_left_operand_costs_one_instruction(instruction_set):
    found = blocks(instruction_set)
    assert found
    for body in found:
        names = [name for name, _ in body]
        assert any(name.startswith("vfmadd") for name in names)
        assert not {"vaddss", "vaddps", "vsubss", "vsubps", "vmulps"} & set(names), "multiplied and added at once"
        reads = [operands for name, operands in body if name == "vbroadcastss"]
        assert all(operands.startswith(("(", "0x")) or "(" in operands for operands in reads), "broadcast as it is read"
