"""Training on several ranks, as real processes that talk through Gloo."""

import json
import os
import random
import signal
import subprocess
import time

import pytest

from conftest import COMMAND_SECONDS, LONG, ROOT, RUN_FILE, ZEBRA, metrics, status_of, zebra
from pairwise import all_rows, pairwise
from ranks import BareRanks, environment, launch, settings

STEPS = 8
FACTORS = {
    "ranks": [1, 2, 3, 4],
    "sharding": ["none", "optimizer", "gradients", "full"],
    "replicas": [1, 2],
    "tied": ["false", "true"],
    "checkpointing": ["none", "full", "selective", "every_2"],
    "micro_batch": [1, 3],
}


def is_allowed(row):
    fits = 12 % (row["ranks"] * row["micro_batch"]) == 0
    return fits and (row["replicas"] == 1 or (row["sharding"] != "none" and row["ranks"] % 2 == 0))


ROWS = all_rows(FACTORS, is_allowed) if LONG else pairwise(FACTORS, is_allowed)


@pytest.fixture(scope="module")
def distributed_run_file(tmp_path_factory, data):
    """Twelve sequences a step, which 1 to 4 ranks can share."""
    path = tmp_path_factory.mktemp("distributed") / "run.yaml"
    text = RUN_FILE.format(dir=path.parent / "unused", data=data)
    path.write_text(text.replace("global_batch_size: 8, micro_batch_size: 4", "global_batch_size: 12, micro_batch_size: 3")
                    .replace("max_steps: 50", f"max_steps: {STEPS}").replace("every_steps: 25", "every_steps: 4")
                    .replace("every_steps: 10", "every_steps: 4").replace("warmup_steps: 10", "warmup_steps: 3"))
    return path


@pytest.fixture(scope="module")
def one_rank(shared, distributed_run_file):
    """metrics of one rank by whether the embedding is tied."""
    def make(folder):
        for tied in FACTORS["tied"]:
            zebra("train", distributed_run_file, *settings([f"run.dir={folder / tied}", f"model.tie_word_embeddings={tied}"]))

    folder = shared("one-rank", make)
    return {tied: metrics(folder / tied) for tied in FACTORS["tied"]}


def values_of(row, run):
    return [f"run.dir={run}", f"parallel.sharding={row['sharding']}", f"parallel.replicas={row['replicas']}",
            f"model.tie_word_embeddings={row['tied']}", f"train.activation_checkpointing={row['checkpointing']}",
            f"train.micro_batch_size={row['micro_batch']}"]


def assert_close(rows, expected):
    """To float32 rounding, after some steps of it."""
    assert len(rows) == len(expected)
    for row, other in zip(rows, expected):
        assert row["step"] == other["step"]
        for key, tolerance in {"loss": 3e-6, "validation_loss": 3e-6, "grad_norm": 3e-5}.items():
            if key in other:
                assert row[key] == pytest.approx(other[key], rel=tolerance), (row["step"], key)


def part_hashes(run, step):
    manifest = json.loads((run / f"checkpoints/step-{step:08}/manifest.json").read_text())
    return {name: record["hash"] for name, record in manifest["files"].items() if name.endswith(".safetensors")}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(map(str, row.values())))
def test_any_ranks_and_mode_agree_with_one_rank(tmp_path, distributed_run_file, one_rank, row):
    launch("mpirun", row["ranks"], distributed_run_file, *values_of(row, tmp_path / "run"))
    assert_close(metrics(tmp_path / "run"), one_rank[row["tied"]])


def test_weights_of_the_loss_are_divided_by_their_sum_over_all_ranks(tmp_path, data, distributed_run_file):
    sources = f"[{{path: {data / 'train'}, weight: 1}}, {{path: {data / 'valid'}, weight: 1, loss_weight: 8}}]"
    zebra("train", distributed_run_file, *settings([f"run.dir={tmp_path / 'one'}", f"data.train={sources}",
                                                    "train.micro_batch_size=1"]))
    launch("mpirun", 2, distributed_run_file, f"run.dir={tmp_path / 'two'}", f"data.train={sources}",
           "parallel.sharding=full", "train.micro_batch_size=3")
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    assert_close(two, one)
    assert [row.get("sources") for row in two] == [row.get("sources") for row in one]
    assert all(len(row["sources"]) == 2 for row in two if "loss" in row)


@pytest.mark.parametrize("sharding", ["none", "full"])
def test_torchrun_gives_the_same_bits_as_mpirun_and_so_does_a_second_time(tmp_path, distributed_run_file, one_rank, sharding):
    runs = {}
    for name, launcher in {"first": "mpirun", "again": "mpirun", "other": "torchrun"}.items():
        launch(launcher, 4, distributed_run_file, f"run.dir={tmp_path / name}", f"parallel.sharding={sharding}",
               "train.micro_batch_size=1", "train.precision=bf16")
        runs[name] = metrics(tmp_path / name), part_hashes(tmp_path / name, STEPS)
    assert runs["first"] == runs["again"] == runs["other"]


def test_bf16_reductions_train_too(tmp_path, distributed_run_file, one_rank):
    launch("mpirun", 2, distributed_run_file, f"run.dir={tmp_path / 'run'}", "parallel.sharding=full",
           "parallel.reduce_precision=bf16")
    assert metrics(tmp_path / "run")[-1]["validation_loss"] == pytest.approx(
        one_rank["false"][-1]["validation_loss"], rel=1e-3)


@pytest.fixture(scope="module")
def stopped_on_four(shared, distributed_run_file):
    """A run of four ranks, split fully, stopped half-way; and the undisturbed run."""
    def make(folder):
        common = ["parallel.sharding=full", "train.micro_batch_size=1"]
        launch("mpirun", 4, distributed_run_file, f"run.dir={folder / 'straight'}", *common)
        launch("mpirun", 4, distributed_run_file, f"run.dir={folder / 'stopped'}", *common,
               arguments=["--stop-after", str(STEPS // 2)])

    return shared("four", make)


def second_half(rows):
    return [row for row in rows if row["step"] > STEPS // 2]


def go_on(stopped, run, ranks, run_file, *values):
    launch("mpirun", ranks, run_file, f"run.dir={run}", "train.micro_batch_size=1", *values,
           arguments=["--resume", stopped])


@pytest.mark.parametrize("ranks, sharding, replicas", [
    (1, "none", 1), (2, "none", 1), (2, "full", 2), (3, "optimizer", 1), (3, "gradients", 1), (4, "gradients", 2)])
def test_other_ranks_and_modes_go_on_from_four(tmp_path, distributed_run_file, stopped_on_four, ranks, sharding, replicas):
    go_on(stopped_on_four / "stopped", tmp_path / "run", ranks, distributed_run_file, f"parallel.sharding={sharding}",
          f"parallel.replicas={replicas}")
    assert_close(metrics(tmp_path / "run"), second_half(metrics(stopped_on_four / "straight")))


def test_four_ranks_go_on_to_the_bit_and_write_a_part_each(tmp_path, distributed_run_file, stopped_on_four):
    go_on(stopped_on_four / "stopped", tmp_path / "run", 4, distributed_run_file, "parallel.sharding=full")
    assert metrics(tmp_path / "run") == second_half(metrics(stopped_on_four / "straight"))
    hashes = part_hashes(tmp_path / "run", STEPS)
    assert hashes == part_hashes(stopped_on_four / "straight", STEPS)
    assert {f"{group}-{part:05}.safetensors" for group in ("weights", "exp_avg", "exp_avg_sq") for part in range(4)} \
        == set(hashes)
    zebra("eval", tmp_path / "run", "--max-tokens", 2048)  # any command reads it


def test_ranks_that_would_do_different_things_stop_with_their_names(tmp_path, distributed_run_file):
    with BareRanks(tmp_path, 3, distributed_run_file, f"run.dir={tmp_path / 'run'}", "train.micro_batch_size=1",
                   values={1: ["optimizer.lr=0.5"], 2: ["data.validation=[]", "eval.every_steps=0"]}) as job:
        assert job.wait() == [2, 2, 2]
        assert not (tmp_path / "run").exists()
        message = job.output()
    assert "rank 1: differs from rank 0 in the resolved section optimizer" in message
    assert "rank 2: differs from rank 0 in the resolved section data, the resolved section eval, dataset " in message


def test_an_input_error_is_said_once_with_the_ranks_that_have_it(tmp_path, distributed_run_file):
    with BareRanks(tmp_path, 3, distributed_run_file, f"run.dir={tmp_path / 'run'}", "train.micro_batch_size=1",
                   values={2: [f"data.tokenizer={tmp_path / 'missing'}"]}) as job:
        assert job.wait() == [2, 2, 2]
        assert job.output().count("missing") == 1 and "rank 2: " in job.output()
    with BareRanks(tmp_path, 2, distributed_run_file, "model.hidden_size=0") as job:
        assert job.wait() == [2, 2]
        assert job.output().count("must be at least 1, not 0") == 1 and "rank" not in job.output()
    with BareRanks(tmp_path, 3, distributed_run_file, "parallel.sharding=full", "parallel.replicas=2") as job:
        assert job.wait() == [2, 2, 2]
        assert "parallel.replicas" in job.output()


def wait_until(happened):
    deadline = time.monotonic() + COMMAND_SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_for_rows(run, count, job):
    """Waits until that many rows of metrics are there, or a rank has ended."""
    path = run / "metrics.jsonl"
    wait_until(lambda: job.has_ended() or (path.exists() and len(path.read_text().splitlines()) >= count))


def test_a_signal_to_one_rank_stops_all_after_a_save(tmp_path, distributed_run_file):
    run = tmp_path / "run"
    with BareRanks(tmp_path, 3, distributed_run_file, f"run.dir={run}", "train.micro_batch_size=1",
                   "train.max_steps=100000") as job:
        wait_for_rows(run, 3, job)
        job.processes[2].send_signal(signal.SIGTERM)
        assert job.wait() == [75, 75, 75], job.output()
    status = status_of(run)
    assert status["state"] == "stopped" and status["reason"] == "stopped by SIGTERM"
    assert status["checkpoint"].endswith(f"step-{status['step']:08}")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_rank_that_dies_or_stands_still_brings_all_down_with_one_message(tmp_path, distributed_run_file, how):
    run = tmp_path / "run"
    with BareRanks(tmp_path, 3, distributed_run_file, f"run.dir={run}", "train.micro_batch_size=1",
                   "train.max_steps=100000", "parallel.sharding=full") as job:
        wait_for_rows(run, 3, job)
        job.processes[1].send_signal(how)
        assert [job.processes[rank].wait(120) for rank in (0, 2)] == [1, 1], job.output()
        message = job.output()
    assert message.count("error: ") == 1, message
    assert "rank 1 of 3" in message and "at step " in message and "Start the job again" in message
    status = status_of(run)
    assert status["state"] == "failed" and "rank 1 of 3" in status["reason"]


def test_an_error_of_one_rank_ends_all_with_its_own_words(tmp_path, distributed_run_file):
    run = tmp_path / "run"
    with BareRanks(tmp_path, 3, distributed_run_file, f"run.dir={run}", "train.micro_batch_size=1",
                   "train.max_steps=100000", "checkpoint.every_steps=100000") as job:
        wait_for_rows(run, 3, job)
        (run / "checkpoints").write_text("a file where the save needs a folder")
        job.processes[2].send_signal(signal.SIGTERM)
        assert job.wait() == [1, 1, 1], job.output()
        message = job.output()
    assert message.count("failed at step") == 1 and "cannot save the checkpoint: rank 0: " in message, message
    assert "failed at step" in status_of(run)["reason"]


def test_kills_of_random_ranks_change_nothing(tmp_path, distributed_run_file, stopped_on_four):
    """The restarted job goes on by itself, and ends with the bits of the undisturbed one."""
    run = tmp_path / "run"
    values = [f"run.dir={run}", "train.micro_batch_size=1", "parallel.sharding=full", "checkpoint.every_steps=1",
              "checkpoint.keep_last=2"]
    kills = 20 if LONG else 3
    for number in range(kills):
        with BareRanks(tmp_path, 4, distributed_run_file, *values) as job:
            victim = random.randrange(4)
            wait_until(lambda: "training tiny" in job.output() or job.has_ended())
            time.sleep(random.uniform(0, 1.5))
            job.processes[victim].kill()
            statuses = job.wait()
            others = [status for rank, status in enumerate(statuses) if rank != victim]
            assert others in ([0, 0, 0], [1, 1, 1]), (statuses, job.output())
    launch("mpirun", 4, distributed_run_file, *values)
    assert metrics(run) == metrics(stopped_on_four / "straight")
    assert part_hashes(run, STEPS) == part_hashes(stopped_on_four / "straight", STEPS)


@pytest.mark.parametrize("sharding, replicas", [("none", 1), ("optimizer", 1), ("gradients", 2), ("full", 2)])
def test_sound_replicas_pass_their_comparison(tmp_path, distributed_run_file, sharding, replicas):
    launch("mpirun", 4, distributed_run_file, f"run.dir={tmp_path / 'run'}", f"parallel.sharding={sharding}",
           f"parallel.replicas={replicas}", "parallel.check_replicas_every=1", "train.micro_batch_size=1")
    assert status_of(tmp_path / "run")["state"] == "finished"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("a Slurm of one's own needs root")
    folder = tmp_path_factory.mktemp("slurm")
    script = ROOT / "tests/launch/one_node_slurm.sh"
    subprocess.run(["bash", script, "start", folder], check=True, timeout=120)
    yield folder / "slurm.conf"
    subprocess.run(["bash", script, "stop", folder], check=True, timeout=120)


def test_srun_and_sbatch(tmp_path, distributed_run_file, one_rank, slurm):
    values = ["parallel.sharding=full", "train.micro_batch_size=3"]
    variables = environment(SLURM_CONF=str(slurm))
    direct = subprocess.run(["srun", "-n", "2", ZEBRA, "train", distributed_run_file,
                             *settings([f"run.dir={tmp_path / 'srun'}", *values])],
                            env=variables, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    assert direct.returncode == 0, direct.stderr
    batch = subprocess.run(["sbatch", "--wait", "--ntasks=2", "-o", tmp_path / "log", ROOT / "scripts/launch/slurm.sh",
                            distributed_run_file, *settings([f"run.dir={tmp_path / 'sbatch'}", *values])],
                           env=variables, cwd=ROOT, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    assert batch.returncode == 0, batch.stderr + (tmp_path / "log").read_text()
    assert_close(metrics(tmp_path / "srun"), one_rank["false"])
    assert metrics(tmp_path / "sbatch") == metrics(tmp_path / "srun")
