"""The fixed list of cases that every way of testing the CUDA kernels runs (tests/csrc_kernels/cuda_cases.csv)."""

import csv
import pathlib
from dataclasses import dataclass

import numpy as np

from . import local_attention_reference as reference

PATH = pathlib.Path(__file__).parents[1] / "csrc_kernels/cuda_cases.csv"


@dataclass(frozen=True)
class Case:
    length: int
    window: int
    head_size: int
    key_heads: int
    group: int
    batch: int
    rotary: int  # 0 none, 1 one table, 2 one for each sequence
    documents: bool
    is_float32: bool

    def draw(self):
        """Inputs with values that their type holds exactly, the packed projection, and d_out."""
        rng = np.random.default_rng(self.length * 31 + self.window)
        round_to_type = (lambda x: x.astype(np.float32)) if self.is_float32 else _round_to_bfloat16
        heads = self.group * self.key_heads
        draw = lambda count: round_to_type(rng.uniform(-2, 2, (self.batch, self.length, count, self.head_size)))
        packed, d_out = draw(heads + 2 * self.key_heads), draw(heads)
        cos = sin = first_token = None
        if self.rotary:
            tables = self.batch if self.rotary == 2 else 1
            angles = rng.uniform(-9, 9, (tables, self.length, self.head_size // 2))
            cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        if self.documents:
            begins = rng.random((self.batch, self.length)) < 1 / rng.choice([3, 40, 100])
            begins[:, 0] = True
            token = np.arange(self.length)
            first_token = np.maximum.accumulate(np.where(begins, token, 0), axis=1)
        q, k, v = np.split(packed, [heads, heads + self.key_heads], axis=2)
        return reference.Inputs(q, k, v, self.window, cos, sin, first_token), packed, d_out


def _round_to_bfloat16(x):
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x8000) & 0xFFFF0000).view(np.float32)


def cuda_cases():
    with PATH.open(newline="") as file:
        for row in csv.DictReader(file):
            numbers = {name: int(value) for name, value in row.items() if name not in ("documents", "type")}
            yield Case(**numbers, documents=row["documents"] == "1", is_float32=row["type"] == "float32")
