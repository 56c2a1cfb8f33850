"""The checkpoint of format version 1, as docs/checkpoint-format.md describes it: read without Zebra, verified and used."""

import json
import re
import shutil

import numpy
import pytest
from conftest import ROOT, zebra

GOLDEN = ROOT / "tests/data/checkpoint-v1"
CHECKPOINT = GOLDEN / "step-00000003"
PAGE = (ROOT / "docs/checkpoint-format.md").read_text()
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())


@pytest.fixture(scope="module")
def read_checkpoint():
    """The reader that the page shows."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    names = {}
    exec(compile(blocks[0], "docs/checkpoint-format.md", "exec"), names)
    return names["read_checkpoint"]


@pytest.mark.parametrize("group", ["weights", "exp_avg", "exp_avg_sq"])
def test_safetensors_alone_reads_every_tensor(read_checkpoint, group):
    tensors = read_checkpoint(CHECKPOINT, group)
    expected = EXPECTED["tensors"][group]
    assert tensors.keys() == expected.keys()
    for name, values in tensors.items():
        assert (values.dtype, list(values.shape)) == (numpy.float32, expected[name]["shape"]), name
        bits = values.ravel().view(numpy.int32).astype(numpy.int64)
        assert int(bits.sum()) == expected[name]["bits"], name
        assert int((bits * numpy.arange(1, bits.size + 1)).sum()) == expected[name]["weighted_bits"], name
        assert abs(values.astype(numpy.float64).sum() - expected[name]["sum"]) <= 1e-9 * values.size, name


def test_every_member_and_file_is_on_the_page():
    """Both ways for what the page lists by name."""
    manifest = json.loads((CHECKPOINT / "manifest.json").read_text())
    assert (manifest["format"], manifest["format_version"]) == ("zebra-checkpoint", 1)
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
    members = manifest.keys() | manifest["training"].keys()
    assert members <= listed
    groups = {"weights", "exp_avg", "exp_avg_sq"}
    later = set(re.findall(r"^\| `(\w+)` \|.*absent in older checkpoints", PAGE, re.MULTILINE))
    assert later and listed - groups - later <= members
    files = {re.sub(r"-\d{5}", "-00000", path.name) for path in CHECKPOINT.iterdir()}
    in_its_place = {"tokenizer.json"}  # of tokenizer.model
    assert files | in_its_place == set(re.findall(r"^\| `([\w.-]+\.(?:json|yaml|model|safetensors))`", PAGE, re.MULTILINE))
    assert {path.name for path in CHECKPOINT.iterdir()} == manifest["files"].keys() | {"manifest.json"}


def test_the_example_on_the_page_has_the_manifests_members():
    example, = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    example, real = json.loads(example), json.loads((CHECKPOINT / "manifest.json").read_text())
    assert list(example) == list(real)
    for tensor in example["tensors"]:
        assert tensor in real["tensors"]
        assert example["tensors"][tensor].keys() == real["tensors"][tensor].keys()


def test_it_verifies_and_a_damaged_copy_does_not(tmp_path):
    zebra("checkpoint", "verify", CHECKPOINT)
    copy = tmp_path / CHECKPOINT.name
    shutil.copytree(CHECKPOINT, copy)
    part = copy / "exp_avg_sq-00001.safetensors"
    content = bytearray(part.read_bytes())
    content[-1] ^= 1
    part.write_bytes(content)
    output, error = zebra("checkpoint", "verify", copy, status=1)
    assert part.name in output + error


def test_it_generates_what_it_always_did():
    generate = EXPECTED["generate"]
    output, _ = zebra("generate", CHECKPOINT, "--prompt", generate["prompt"], "--max-new-tokens",
                      generate["max_new_tokens"], "--temperature", 0)
    assert output == generate["text"]
