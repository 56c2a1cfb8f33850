"""scripts/bench/products.py, and the forms of the products that it measures."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from conftest import COMMAND_SECONDS, ROOT

BENCH = ROOT / "scripts/bench"
sys.path.insert(0, str(BENCH))

import product_forms  # noqa: E402
import products  # noqa: E402


def run(*options, status=0, scripts=BENCH):
    result = subprocess.run([sys.executable, scripts / "products.py", *map(str, options)], capture_output=True, text=True,
                            timeout=COMMAND_SECONDS)
    assert result.returncode == status, f"status {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result


def test_every_product_of_the_reference_model_is_measured(tmp_path):
    result = run("--quick", "--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["machine"]["processor"] in result.stdout
    assert " ".join(figures["machine"]["instruction_sets"]) in result.stdout
    kinds = {product_forms.FORWARD, product_forms.INPUT, product_forms.WEIGHT}
    measured = {(product["part"], product["kind"]) for product in figures["measured"] if product["type"] == "float32"}
    assert measured == {(part, kind) for part in product_forms.WEIGHTS for kind in kinds}
    for product in figures["measured"]:
        assert f"| {product['part']}, {product['kind']} | " in result.stdout
        assert next(iter(product["seconds"])) == product_forms.OURS and len(product["seconds"]) > 1
        assert all(len(rounds) == 1 and rounds[0] > 0 for rounds in product["seconds"].values())
    assert result.stdout.count("Quicker by 10 % or more: ") == 2


def test_a_form_that_gives_another_product_is_noticed(tmp_path):
    scripts = tmp_path / "scripts"
    shutil.copytree(BENCH, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    source = (scripts / "product_forms.py").read_text()
    call = 'multiply(left, weight, None, "none", [], "")\n    return'
    assert source.count(call) == 1
    (scripts / "product_forms.py").write_text(source.replace(call, call.replace("left, weight", "left * 1.01, weight")))
    result = run("--quick", "--types", "float32", status=1, scripts=scripts)
    assert "oneDNN of QKV, forward: an error of " in result.stderr


@pytest.mark.parametrize("type_name", product_forms.TYPES)
@pytest.mark.parametrize("rows", [1, 130])
def test_all_forms_give_the_same_product(type_name, rows):
    with torch.no_grad():
        for product in product_forms.products(type_name, rows):
            for name, form in product_forms.forms_of(product).items():
                product_forms.check(product, name, form)
                if product.sum is not None:  # it adds
                    once = product.sum.clone()
                    form()
                    assert (product.sum - 2 * once).abs().max() <= 1e-5 * once.abs().max()  # false for NaN


def test_head_takes_chunks_and_a_step_all_rows():
    for product in product_forms.products("float32", 4096):
        assert product.rows == (1024 if product.part == "head" else 4096)
        assert product.calls == (4 if product.part == "head" else 6)


def test_what_is_worth_having():
    seconds = {product_forms.OURS: [3.0, 30.0, 2.2], "a": [2.9, 27.0, 2.0], "b": [2.5, 30.0, 2.0]}
    assert products.ratio(seconds, "a") == 2.2 / 2.0 and products.quickest(seconds) == "a"
    seconds["a"] = [3.0, 28.0, 2.1]
    assert products.quickest(seconds | {"b": [3.0, 30.0, 2.2]}) == product_forms.OURS


@pytest.mark.parametrize("options, words", [
    (["--types", "float8"], "there is no float8"), (["--rows", "many"], "give numbers"), (["--rounds", 0], "at least 1"),
    (["--json", "nowhere/figures.json"], "its folder is not there"), (["--rouns", 3], "")])
def test_wrong_usage(options, words):
    assert words in run(*options, status=2).stderr
