"""Tables of what a card measured."""

import json

import pytest

from scripts.kernel_report import measured

RESULTS = {
    "format": "zebra-gpu-results", "format_version": 1, "revision": "0123456789ab",
    "card": {"what": "card", "name": "A Card", "compute_capability": "9.0"},
    "steps": [{"name": "hopper", "outcome": "passed"}, {"name": "nccl", "outcome": "out of time"}],
    "hopper": {"right": ["a box lies row by row"], "wrong": [], "measured": {"TMA": {"value": 5.25, "unit": "TB/s"}}},
    "attention": [{"name": name, "D": 128, "W": 512, "T": 16384, "H": 16, "Hkv": 16, "documents": documents, "forward_ms": 0.5,
                   "backward_ms": 1.5, "both_ms": both, "forward_gflops": 2e5, "backward_gflops": 1e5, "both_ratio": both / 2}
                  for name, documents, both in (("zebra", 0, 2.0), ("zebra", 700, 2.5), ("flash-window", 0, 3.0))],
    "peers": [{"what": "cuDNN, causal", "case": {"D": 128, "T": 4096}, "forward_ms": 0.25}],
    "training": [{"step": "steps_350m", "tokens_per_second": 50000.0, "product_ceiling": 7e14, "mfu": 0.5, "peak_bytes": 2**34,
                  "part_seconds": {"head and loss": 0.25, "other": 0.75}, "checkpoint_seconds": 1.5}],
}
MODEL = [{"gpu": gpu, "head_size": 128, "window": 512, "length": 16384, "query_heads": 16, "key_heads": 16, "both": {"ms": ms}}
         for gpu, ms in (("A100", 3.0), ("H100", 1.6))]


def rows_of(text, word):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if word in line]


def test_ours_stands_beside_the_model_of_the_card_s_architecture():
    text = measured.report(RESULTS, MODEL)
    with_model, with_documents = rows_of(text, "zebra")
    assert with_model[-3:] == ["H100", "1.600", "1.25"]
    assert with_documents[-3:] == ["", "", ""] and with_documents[4] == "700"
    assert rows_of(text, "flash-window")[0][-4:] == ["1.50", "", "", ""]


def test_everything_is_in_a_table():
    text = measured.report(RESULTS, [])
    assert "Measured on A Card" in text and "Not passed: nccl: out of time." in text and "0123456789ab" in text
    assert rows_of(text, "head and loss")[0][1] == "250.00 ms (25%)"
    assert rows_of(text, "memory")[0][1] == "16.0" and rows_of(text, "TMA")[0][1] == "5.25 TB/s"
    assert rows_of(text, "cuDNN")[0][1:] == ["D 128, T 4096", "forward_ms 0.25"]


def test_a_card_that_did_not_get_far():
    nothing = {**RESULTS, "card": None, "attention": [], "peers": [], "training": [],
               "hopper": {"right": [], "wrong": [], "measured": {}}}
    assert "no card" in measured.report(nothing, MODEL)


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "results.json"
    for text in ("{", "[]", "{}", json.dumps({**RESULTS, "format_version": 2})):
        path.write_text(text)
        with pytest.raises(measured.UnknownResults):
            measured.read(path)
    path.write_text(json.dumps(RESULTS))
    assert measured.read(path) == RESULTS
