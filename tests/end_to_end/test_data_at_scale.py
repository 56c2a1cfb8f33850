"""The recipes of docs/data-at-scale.md that need datatrove, as they stand there, with its local executor. test_docs.py runs the
others."""

import json
import shlex
import subprocess
import sys

import pytest
from conftest import COMMAND_SECONDS, zebra
from test_docs import blocks, checkout, run_block  # noqa: F401 (a fixture)

PAGE = "docs/data-at-scale.md"


def test_what_datatrove_wrote_is_adopted_whole(checkout):  # noqa: F811
    pytest.importorskip("datatrove", reason="datatrove is not installed")
    pytest.importorskip("orjson", reason="orjson, with which datatrove reads JSONL, is not installed")
    for body in blocks(PAGE, "bash"):
        status, output = run_block(body, checkout, COMMAND_SECONDS)
        assert status == 0, output
    recipes, adoptions = blocks(PAGE, "python"), blocks(PAGE, "console")
    assert len(recipes) == len(adoptions) == 2
    lines = sum(len(path.read_text().splitlines()) for path in (checkout / "runs/scale/text").iterdir())
    packed = json.loads(zebra("data", "stat", "runs/scale/packed", "--json", cwd=checkout)[0])[0]
    assert packed["documents"] == lines
    for recipe, adoption in zip(recipes, adoptions):
        (checkout / "recipe.py").write_text(recipe)
        result = subprocess.run([sys.executable, "recipe.py"], cwd=checkout, capture_output=True, text=True, timeout=COMMAND_SECONDS)
        assert result.returncode == 0, result.stderr
        report = json.loads(zebra(*shlex.split(adoption)[1:], "--json", cwd=checkout)[0])
        assert report["documents"] == lines
        assert report["tokens"] == packed["tokens"] - lines  # it has no BOS
