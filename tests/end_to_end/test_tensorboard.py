"""What TensorBoard's own package reads of a run."""

import json
import shutil
import struct
import sys

import numpy
from conftest import ROOT, zebra
from tensorboard.backend.event_processing import event_file_loader, plugin_event_multiplexer

sys.path.insert(0, str(ROOT / "scripts"))
from track import figures  # noqa: E402: other trackers get the same figures under the same names


def curves(folder):
    """(tag, step) -> values, of all files as they stand, without what TensorBoard itself leaves out."""
    values = {}
    for path in sorted(folder.iterdir()):
        for event in event_file_loader.EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                tensor = value.tensor
                content = tensor.string_val[0].decode() if tensor.string_val else (tensor.float_val or [struct.unpack(
                    "<f", tensor.tensor_content)[0]])[0]
                values.setdefault((value.tag, event.step), []).append(content)
    return values


def expected(run):
    values = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        step = row.pop("step")
        values |= {(tag, step): [float(numpy.float32(value))] for tag, value in figures(row)}
    for sample in (run / "samples").iterdir():
        text = sample.read_text().removesuffix("\n")
        values["sample", int(sample.stem.removeprefix("step-"))] = ["    " + text.replace("\n", "\n    ")]
    return values


def test_a_run_that_was_stopped_and_resumed_twice_has_each_step_once(run_file):
    run = run_file.parent / "run"
    on = ["--set", "logging.tensorboard=true"]
    zebra("train", run_file, "--stop-after", 20, *on)
    zebra("train", run_file, "--stop-after", 33, *on)
    shutil.rmtree(run / "checkpoints/step-00000033")  # so that steps 31 to 33 are done twice
    zebra("train", run_file, *on)
    assert len(list((run / "tensorboard").iterdir())) == 3
    found = curves(run / "tensorboard")
    assert found == expected(run)
    assert {step for tag, step in found if tag == "loss"} == set(range(1, 51))
    # The same through what the pages of TensorBoard are made of.
    multiplexer = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(run))
    multiplexer.Reload()
    losses = [event.step for event in multiplexer.Tensors("tensorboard", "loss")]
    assert losses == list(range(1, 51))
    assert multiplexer.SummaryMetadata("tensorboard", "sample").plugin_data.plugin_name == "text"
    files = sorted((run / "tensorboard").iterdir())
    zebra("train", run_file, *on)  # nothing is left to train
    assert sorted((run / "tensorboard").iterdir()) == files


def test_rows_from_before_it_was_switched_on_are_there(run_file):
    run = run_file.parent / "run"
    zebra("train", run_file, "--stop-after", 20)
    assert not (run / "tensorboard").exists()
    zebra("train", run_file, "--stop-after", 30, "--set", "logging.tensorboard=true")
    found = curves(run / "tensorboard")
    rows = {key: value for key, value in expected(run).items() if key[0] != "sample" or key[1] > 20}
    assert found == rows


def test_a_run_without_it_writes_none(trained):
    assert not (trained / "tensorboard").exists()
