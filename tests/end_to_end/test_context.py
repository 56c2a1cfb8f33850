"""Ranks that share each sequence (parallel.context), as real processes that talk through Gloo."""

import signal

import pytest

from conftest import COMMAND_SECONDS, RUN_FILE, metrics, status_of, zebra
from ranks import BareRanks, launch, settings
from test_distributed import assert_close, wait_for_rows

STEPS = 6


@pytest.fixture(scope="module")
def context_run_file(tmp_path_factory, data):
    """Chunks of 24 tokens on three ranks and 18 on four, windows of 16; validation ends within a sequence."""
    path = tmp_path_factory.mktemp("context") / "run.yaml"
    text = RUN_FILE.format(dir=path.parent / "unused", data=data)
    for old, new in {"sequence_length: 128": "sequence_length: 144", "max_steps: 50": f"max_steps: {STEPS}",
                     "global_batch_size: 8, micro_batch_size: 4": "global_batch_size: 4, micro_batch_size: 2",
                     "every_steps: 25, max_tokens: 2048": "every_steps: 3, max_tokens: 1000000000",
                     "every_steps: 10": "every_steps: 3", "warmup_steps: 10": "warmup_steps: 3"}.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def alone(shared, context_run_file):
    """A run of one rank, and one that stopped half-way."""
    def make(folder):
        zebra("train", context_run_file, *settings([f"run.dir={folder / 'straight'}"]))
        zebra("train", context_run_file, "--stop-after", STEPS // 2, *settings([f"run.dir={folder / 'stopped'}"]))

    return shared("context-alone", make)


@pytest.fixture(scope="module")
def on_four(shared, context_run_file):
    """Four ranks on every sequence, stopped half-way."""
    def make(folder):
        launch("mpirun", 4, context_run_file, f"run.dir={folder / 'stopped'}", "parallel.context=4",
               arguments=["--stop-after", str(STEPS // 2)])

    return shared("context-four", make)


def assert_same_positions(rows, expected):
    validations = [row for row in expected if "validation_loss" in row]
    assert validations
    for row, other in zip([row for row in rows if "validation_loss" in row], validations, strict=True):
        for key in ("by_position", "by_visible"):
            if key not in other:
                continue
            assert [(bucket["begin"], bucket["end"]) for bucket in row[key]] \
                == [(bucket["begin"], bucket["end"]) for bucket in other[key]]
            for bucket, same in zip(row[key], other[key]):
                assert bucket["loss"] == pytest.approx(same["loss"], rel=1e-5)


@pytest.mark.parametrize("ranks, context, sharding, replicas, more", [
    (2, 2, "none", 1, []),
    (3, 3, "optimizer", 1, ["train.activation_checkpointing=selective"]),
    (4, 2, "full", 2, ["train.micro_batch_size=1", "train.activation_checkpointing=full"]),
    (4, 4, "full", 1, ["train.micro_batch_size=4"])])
def test_ranks_that_share_sequences_agree_with_one_rank(tmp_path, context_run_file, alone, ranks, context, sharding, replicas,
                                                        more):
    run = tmp_path / "run"
    launch("mpirun", ranks, context_run_file, f"run.dir={run}", f"parallel.context={context}",
           f"parallel.sharding={sharding}", f"parallel.replicas={replicas}", "parallel.check_replicas_every=2", *more)
    assert_close(metrics(run), metrics(alone / "straight"))
    assert_same_positions(metrics(run), metrics(alone / "straight"))
    zebra("eval", run, "--max-tokens", 2048)  # on one process, whatever has trained it


@pytest.mark.parametrize("ranks, context", [(1, 1), (2, 2), (2, 1)])
def test_other_ranks_go_on_from_four_that_share(tmp_path, context_run_file, alone, on_four, ranks, context):
    run = tmp_path / "run"
    launch("mpirun", ranks, context_run_file, f"run.dir={run}", f"parallel.context={context}",
           arguments=["--resume", on_four / "stopped"])
    assert_close(metrics(run), [row for row in metrics(alone / "straight") if row["step"] > STEPS // 2])


def test_four_that_share_go_on_from_one(tmp_path, context_run_file, alone):
    run = tmp_path / "run"
    launch("mpirun", 4, context_run_file, f"run.dir={run}", "parallel.context=4", "parallel.sharding=full",
           arguments=["--resume", alone / "stopped"])
    assert_close(metrics(run), [row for row in metrics(alone / "straight") if row["step"] > STEPS // 2])


def test_the_window_may_grow_and_documents_be_packed_whole(tmp_path, context_run_file):
    more = ["schedule.window_warmup_steps=4", "data.packing=whole", "data.overflow=split", "model.attention_sink=all",
            "model.qk_norm=head", "train.loss_weighting=sequence", "model.rope_scaling.type=linear",
            "model.rope_scaling.factor=2"]
    zebra("train", context_run_file, *settings([f"run.dir={tmp_path / 'one'}", *more]))
    launch("mpirun", 2, context_run_file, f"run.dir={tmp_path / 'two'}", "parallel.context=2", *more)
    assert_close(metrics(tmp_path / "two"), metrics(tmp_path / "one"))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_rank_that_dies_or_stands_still_ends_all_that_share_with_it(tmp_path, context_run_file, how):
    run = tmp_path / "run"
    with BareRanks(tmp_path, 3, context_run_file, f"run.dir={run}", "parallel.context=3", "train.max_steps=100000") as job:
        wait_for_rows(run, 3, job)
        job.processes[1].send_signal(how)
        assert [job.processes[rank].wait(COMMAND_SECONDS) for rank in (0, 2)] == [1, 1], job.output()
        message = job.output()
    assert message.count("error: ") == 1 and "rank 1 of 3" in message, message
    assert status_of(run)["state"] == "failed"


def test_what_cannot_be_shared_is_refused(tmp_path, context_run_file):
    _, error = zebra("train", context_run_file, *settings([f"run.dir={tmp_path / 'run'}", "parallel.context=2"]), status=2)
    assert "parallel.context: 2 does not divide the number of ranks, 1" in error
    _, error = zebra("plan", context_run_file, "--ranks", 5, *settings(["parallel.context=5"]), status=2)
    assert "data.sequence_length: 144 cannot be cut into 2 x parallel.context = 10 equal chunks" in error
    _, error = zebra("plan", context_run_file, "--ranks", 6, *settings(["parallel.context=6"]), status=2)
    assert "are shorter than the window of 16; what fits: parallel.context up to 4" in error
    assert not (tmp_path / "run").exists()
