"""`zebra ablate`: arms, the report, stopping anywhere, arms that fail, and what is refused before anything runs."""

import csv
import json
import os
import random
import signal
import subprocess
import time

import pytest
from conftest import LONG, RUN_FILE, ZEBRA, zebra

STOPPED = 75
DEADLINE = 600  # seconds
SEED = random.randrange(1 << 32)  # shown with every failure, so that its moments can be had again
moments = random.Random(SEED)

SWEEP = """\
name: tiny
dir: {dir}
base: {base}
axes:
  attention:
    full: {{model.self_attn_type: full}}
    mixed: {{model.layer_group_size: 2}}
    local: {{model.self_attn_type: local}}
  run.seed: [1, 2]
probes: {{training_share: 0.5, training_loss_share: 0.25, training_sequences: 300, items: 6, lengths: [128], values: 16}}
cost_lengths: [32, 64]
"""
LADDER = """\
name: steps
dir: {dir}
base: {base}
axes: {{attention: {{full: {{model.self_attn_type: full}}, mixed: {{model.layer_group_size: 2}}}}}}
ladder:
  sizes: {{small: {{model.hidden_size: 16, model.intermediate_size: 40}}, large: {{model.hidden_size: 32, model.intermediate_size: 88}}}}
  tokens_per_parameter: [0.25, 0.5]
  learning_rates: [2.0e-3]
probes: {{tasks: [passkey], items: 2, lengths: [128], values: 16}}
cost_lengths: [128]
"""
TIMED = {"tokens_per_second", "peak_memory_gib", "seconds"}


def write_sweep(folder, data, name, text=SWEEP):
    """A sweep file and its run file in `folder`; returns the path of the first. The dir is the file's name."""
    base, path = folder / "base.yaml", folder / f"{name}.yaml"
    run_file = RUN_FILE.format(dir=folder / "unused", data=data).replace("num_hidden_layers: 4", "num_hidden_layers: 2")
    base.write_text(run_file.replace("window_size: 16", "window_size: 8").replace("max_steps: 50", "max_steps: 12")
                    .replace("every_steps: 10,", "every_steps: 3, keep_every: 6,").replace("every_steps: 25", "every_steps: 6"))
    path.write_text(text.format(dir=folder / name, base=base))
    return path


@pytest.fixture
def sweep_file(tmp_path, data):
    """Writes a sweep file of its own for each call; returns its path."""
    return lambda name, text=SWEEP: write_sweep(tmp_path, data, name, text)


def results(folder):
    """What the report is made of, without what depends on the clock and the machine's state."""
    content = json.loads((folder / "report/results.json").read_text())
    for arm in content["arms"]:
        for key in TIMED:
            arm.pop(key)
    cost = content.pop("cost")
    if cost is not None:
        content["cost_cells"] = [(row["pattern"], row["length"]) for row in cost["rows"]]
    return content


def table(folder):
    """The rows of the report's table, without what the machine measured of itself."""
    rows = csv.DictReader((folder / "report/results.csv").open())
    return [row for row in rows if row["arm"] and row["quantity"] != "peak_memory"]


@pytest.fixture(scope="module")
def whole(shared, data):
    """The folder of an undisturbed sweep."""
    return shared("sweep", lambda folder: zebra("ablate", write_sweep(folder, data, "whole"))) / "whole"


def test_arms_are_runs_and_the_report_tells_of_all(whole):
    content = results(whole)
    arms = content["arms"]
    assert [arm["name"] for arm in arms] == [f"{group}_seed-{seed}" for group in ("full", "mixed", "local") for seed in (1, 2)]
    assert all(arm["state"] == "finished" and arm["step"] == 12 for arm in arms)
    assert [arm["layout"] for arm in arms] == ["GG", "GG", "GL", "GL", "LL", "LL"]
    assert {"config.yaml", "checkpoints", "metrics.jsonl", "recall.json", "status.json"} <= {
        entry.name for entry in (whole / "arms/mixed_seed-1").iterdir()}
    assert content["bands"] == {"window": 8, "layers": 2, "of": "common"}
    for arm in arms:
        assert [probe["task"] for probe in arm["recall"]["probes"]] == [
            "associative_recall", "passkey", "copying", "variable_tracking"]
        distances = [d for probe in arm["recall"]["probes"] for d in probe["distance"]]
        assert min(distances) <= 8 and max(distances) > 16
        assert all(value < 0 for probe in arm["recall"]["probes"] for value in probe["log_likelihood"])
        for probe in arm["recall"]["probes"]:
            assert [(earlier["step"], len(earlier["exact"])) for earlier in probe["earlier"]] == [(6, len(probe["exact"]))]
            assert len(probe["blind"]) == len(probe["exact"])
    for arm in arms:
        text, probes = arm["sources"]
        assert (text["name"], probes["name"]) == ("train", "probes-128")
        assert text["loss_share"] + probes["loss_share"] == pytest.approx(1)
        assert probes["samples_share"] == pytest.approx(0.5, abs=0.15)
        assert probes["loss_share"] == pytest.approx(0.25, abs=0.12) and probes["targets_share"] < probes["loss_share"]
    questions = [[(p["item"], p["distance"]) for p in arm["recall"]["probes"]] for arm in arms]
    assert all(asked == questions[0] for asked in questions), "all arms are asked the same"
    assert content["cost_cells"] == [(p, n) for p in ("GG", "GL", "LL") for n in (32, 64)]
    for name in ("full", "mixed", "local"):
        assert name in (whole / "report/index.html").read_text()
    assert {row["arm"] for row in table(whole)} == {arm["name"] for arm in arms}
    steps = {row["step"] for row in table(whole) if row["quantity"] == "exact_match"}
    assert steps == {"6", "12"} and "Speed of learning" in (whole / "report/report.md").read_text()


def wait_for_steps(process, folder, steps):
    began = time.monotonic()

    def logged():
        return sum(path.read_text().count("\n") for path in folder.glob("arms/*/metrics.jsonl"))

    while process.poll() is None and logged() < steps:
        assert time.monotonic() - began < DEADLINE, "the sweep neither goes on nor ends"
        time.sleep(0.02)


def interrupted(path, stops, *arguments):
    """Runs the sweep, disturbed at random moments by the given signals to its main process; returns its exit statuses."""
    folder = path.with_suffix("")
    statuses = []
    for number, sent in enumerate(stops):
        process = subprocess.Popen([ZEBRA, "ablate", path, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for_steps(process, folder, moments.randrange(1, 24 * (number + 1)))
            time.sleep(moments.random() / 2)
            process.send_signal(sent)
            statuses.append(process.wait(timeout=DEADLINE))
        finally:
            process.kill()
    return statuses


def test_a_sweep_stopped_anywhere_comes_to_the_same_report(whole, sweep_file):
    print(f"seed of the random moments: {SEED}")
    path = sweep_file("broken")
    stops = [signal.SIGTERM, signal.SIGKILL, signal.SIGINT] * (4 if LONG else 1)
    statuses = interrupted(path, stops)
    # The first sweep has logged steps of its own, so it watches for signals; a later one may be met before it does.
    assert statuses[0] in (0, STOPPED), statuses
    assert all(status in (0, STOPPED, -sent) for status, sent in zip(statuses, stops)), statuses
    zebra("ablate", path)
    assert results(path.with_suffix("")) == results(whole)
    assert table(path.with_suffix("")) == table(whole)


def test_the_order_of_arms_and_of_starts_does_not_matter(whole, sweep_file):
    path = sweep_file("parts")
    zebra("ablate", path, "--arm", "local_seed-2", "--arm", "mixed_seed-1")
    assert not (path.with_suffix("") / "report").exists()
    zebra("ablate", path, "--report")
    states = {arm["name"]: arm["state"] for arm in results(path.with_suffix(""))["arms"]}
    assert states["local_seed-2"] == states["mixed_seed-1"] == "finished" and states["full_seed-1"] == "unfinished"
    zebra("ablate", path, "--jobs", 2)  # OMP_NUM_THREADS is set: as many threads, and so the same bits
    assert table(path.with_suffix("")) == table(whole)


def test_an_arm_that_diverges_is_marked_and_the_rest_is_intact(whole, sweep_file):
    text = SWEEP.replace("    local:", "    wild: {{model.layer_group_size: 2, optimizer.lr: 1.0e+30, train.grad_clip: 0}}\n    local:")
    path = sweep_file("wild", text)
    _, errors = zebra("ablate", path, status=1)
    assert "wild_seed-1: training ended with exit status 1: diverged" in errors
    content = results(path.with_suffix(""))
    wild = [arm for arm in content["arms"] if arm["group"] == "wild"]
    assert [arm["state"] for arm in wild] == ["failed", "failed"] and all("diverged" in arm["reason"] for arm in wild)
    assert [arm for arm in content["arms"] if arm["group"] != "wild"] == results(whole)["arms"]
    report = (path.with_suffix("") / "report/index.html").read_text()
    assert "diverged" in report
    before = (path.with_suffix("") / "arms/wild_seed-1.log").read_text()
    zebra("ablate", path, status=1)  # it would diverge again to the bit: not tried
    assert (path.with_suffix("") / "arms/wild_seed-1.log").read_text() == before


REFUSED = {
    "unknown axis": ("  run.seed: [1, 2]", "  model.layer_groupsize: [1, 2]", "did you mean layer_group_size?"),
    "empty grid": ("  run.seed: [1, 2]", "  run.seed: []", "run.seed"),
    "contradiction": ("  run.seed: [1, 2]", "  model.attention_pattern: [GL, LG]", "model.attention_pattern"),
    "the same run twice": ("  run.seed: [1, 2]", "  run.seed: [1, 1]", "run.seed"),
    "an arm that is invalid": ("  run.seed: [1, 2]", "  model.num_attention_heads: [4, 7]", "arm full_num_attention_heads-7"),
    "an arm that cannot fit": ("  run.seed: [1, 2]", "  model.intermediate_size: [176, 1000000000]",
                               "arm full_intermediate_size-1000000000_seed-1: training takes some"),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_what_cannot_work_is_refused_before_anything_runs(sweep_file, mistake):
    line, instead, message = REFUSED[mistake]
    path = sweep_file("refused", SWEEP.replace(line, instead))
    for arguments in ([], ["--dry-run"]):
        _, errors = zebra("ablate", path, *arguments, status=2)
        assert message in errors
        assert not path.with_suffix("").exists()


def test_a_changed_sweep_does_not_go_on_in_the_same_folder(sweep_file):
    path = sweep_file("changed")
    zebra("ablate", path, "--arm", "full_seed-1")
    path.write_text(path.read_text().replace("probes:", "exclude: []\nprobes:").replace("values: 16", "values: 17"))
    path.write_text(path.read_text().replace("exclude: []\n", ""))
    _, errors = zebra("ablate", path, status=2)
    assert "holds training probes of other settings" in errors
    path.write_text(path.read_text().replace("values: 17", "values: 16").replace("model.self_attn_type: full",
                                                                                 "model.self_attn_type: full, optimizer.lr: 0.5"))
    _, errors = zebra("ablate", path, status=2)
    assert "arm full_seed-1: was begun with other settings: optimizer.lr: 0.001 -> 0.5" in errors


def test_a_sweep_grows_and_keeps_what_is_finished(whole, sweep_file):
    full = "    full: {{model.self_attn_type: full}}\n"
    assert full in SWEEP
    path = sweep_file("grown", SWEEP.replace(full, "").replace("[1, 2]", "[1]").replace("items: 6", "items: 4"))
    zebra("ablate", path)
    folder = path.with_suffix("")
    trained = {metrics: metrics.read_bytes() for metrics in folder.glob("arms/*/metrics.jsonl")}
    assert len(trained) == 2
    sweep_file("grown")
    out, _ = zebra("ablate", path, "--dry-run")
    assert ("to do: train 4 arms, measure the recall of 2 arms (its recall was asked otherwise: items: 4 -> 6)\n") in out
    zebra("ablate", path)
    assert all(metrics.read_bytes() == content for metrics, content in trained.items())
    assert results(folder) == results(whole) and table(folder) == table(whole)
    assert "to do: nothing; 6 arms are over" in zebra("ablate", path, "--dry-run")[0]

    wide = SWEEP.replace(full, full + "    wide: {{model.self_attn_type: local, model.window_size: 12}}\n")
    sweep_file("grown", wide)
    refusals = [zebra("ablate", path, *arguments, status=2)[1] for arguments in ([], ["--dry-run"])]
    assert refusals[0] == refusals[1] and "write `probes: {training_bands: {window: 8, layers: 2}}` in the sweep file" in refusals[0]
    sweep_file("grown", wide + "compare: {{window: 8, layers: 2}}\n")
    assert "to do: train 2 arms; 6 arms are over" in zebra("ablate", path, "--dry-run")[0]


def test_a_sweep_with_probes_of_another_version_does_not_go_on(sweep_file):
    path = sweep_file("older")
    zebra("ablate", path, "--arm", "full_seed-1")
    description = path.with_suffix("") / "data/probes-128.json"
    content = json.loads(description.read_text())
    del content["version"]
    description.write_text(json.dumps(content, indent=2) + "\n")
    _, errors = zebra("ablate", path, status=2)
    assert "holds training probes of another version of zebra" in errors and "set another dir" in errors


def test_dry_run_prints_the_arms_and_their_cost(sweep_file):
    path = sweep_file("dry")
    out, _ = zebra("ablate", path, "--dry-run")
    assert "mixed_seed-2" in out and "nothing was written" in out
    content = json.loads(zebra("ablate", path, "--dry-run", "--json")[0])
    assert len(content["arms"]) == 6
    assert not path.with_suffix("").exists()
    _, errors = zebra("ablate", path, "--arm", "mixd_seed-2", status=2)
    assert "did you mean mixed_seed-2?" in errors


def test_slurm_array_has_a_job_for_each_arm(sweep_file, tmp_path):
    path = sweep_file("array")
    script = tmp_path / "array.sh"
    zebra("ablate", path, "--emit-slurm", script)
    text = script.read_text()
    assert "#SBATCH --array=0-5" in text
    subprocess.run(["bash", "-n", script], check=True)
    subprocess.run(["bash", script], check=True, timeout=DEADLINE, env={**os.environ, "SLURM_ARRAY_TASK_ID": "4"},
                   capture_output=True)
    folder = path.with_suffix("")
    assert json.loads((folder / "arms/local_seed-1/status.json").read_text())["state"] == "finished"
    assert (folder / "arms/local_seed-1/recall.json").exists() and not (folder / "arms/full_seed-1").exists()


def test_a_ladder_has_a_law_and_gives_advice(sweep_file):
    path = sweep_file("steps", LADDER)
    folder = path.with_suffix("")
    question = ("--advise", "--context", 256, "--flops", "1e12", "--cache", 10**6)
    _, errors = zebra("ablate", path, *question, status=2)
    assert "no arm of the ladder has finished" in errors
    zebra("ablate", path, "--jobs", 2)
    content = json.loads((folder / "report/results.json").read_text())
    for arm in content["arms"]:
        place = arm["ladder"]
        wanted = place["tokens_per_parameter"] * place["parameters"]
        assert arm["tokens"] == pytest.approx(wanted, abs=8 * 128 / 2) and arm["validation_curve"][-1]["step"] == arm["steps"]
    assert [row["pattern"] for row in content["ladder"]["cost"]["large"]["rows"]] == ["GG", "GL"]
    report = (folder / "report/report.md").read_text()
    assert "## Ladder" in report and "Compute multipliers" in report and "equal time" in report
    table, _ = zebra("ablate", path, *question)
    assert "For 256 tokens of context and 1.00 TFLOP of training" in table and "P(best)" in table
    answer = json.loads(zebra("ablate", path, *question, "--json")[0])
    assert {row["layout"] for row in answer["layouts"]} == {"full", "mixed"}
    assert all(row["fits"] and "FLOPs" in row["extrapolated"] and "context" in row["extrapolated"] for row in answer["layouts"])


def test_advice_says_what_it_lacks(sweep_file):
    path = sweep_file("plain")
    _, errors = zebra("ablate", path, "--advise", status=2)
    assert "give --context N" in errors and "give --flops F" in errors
    for arguments, message in ((("--advise", "--context", "far", "--flops", "1e12"), "not an integer"),
                               (("--advise", "--context", 64, "--flops", "lots"), "not a finite number"),
                               (("--advise", "--context", 64, "--flops", 0), "--flops"),
                               (("--context", 64), "--advise"), (("--json",), "goes with --dry-run or --advise"),
                               (("--advise", "--context", 64, "--flops", "1e12"), "the sweep has no ladder")):
        assert message in zebra("ablate", path, *arguments, status=2)[1], arguments
