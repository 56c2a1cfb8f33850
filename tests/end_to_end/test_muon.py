"""Muon with the real command: any ranks and modes, exact resume, checkpoints, plan and refusals."""

import json

import pytest

from conftest import RUN_FILE, metrics, zebra
from ranks import launch, settings

STEPS = 8
MUON = ["optimizer.type=muon"]
MATRICES = 4 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 176 * 64)


@pytest.fixture(scope="module")
def muon_run_file(tmp_path_factory, data):
    """Twelve sequences a step, which 1 to 4 ranks can share."""
    path = tmp_path_factory.mktemp("muon") / "run.yaml"
    text = RUN_FILE.format(dir=path.parent / "unused", data=data)
    path.write_text(text.replace("global_batch_size: 8, micro_batch_size: 4", "global_batch_size: 12, micro_batch_size: 3")
                    .replace("max_steps: 50", f"max_steps: {STEPS}").replace("every_steps: 25", "every_steps: 4")
                    .replace("every_steps: 10", "every_steps: 4").replace("warmup_steps: 10", "warmup_steps: 3")
                    .replace("optimizer: {", "optimizer: {type: muon, "))
    return path


@pytest.fixture(scope="module")
def one_rank(shared, muon_run_file):
    """An undisturbed run of one rank."""
    return shared("muon-one-rank", lambda folder: zebra("train", muon_run_file, *settings([f"run.dir={folder / 'run'}"]))) / "run"


def losses(run):
    return [(row["step"], key, row[key]) for row in metrics(run) for key in ("loss", "validation_loss") if key in row]


def assert_close(run, expected):
    """To what rounding to bfloat16 makes of gradients that differ in their last bits."""
    rows, others = losses(run), losses(expected)
    assert len(rows) == len(others)
    for (step, key, value), (other_step, other_key, other) in zip(rows, others):
        assert (step, key) == (other_step, other_key)
        assert value == pytest.approx(other, rel=1e-4), (step, key)


def manifest_of(run, step):
    return json.loads((run / f"checkpoints/step-{step:08}/manifest.json").read_text())


def hashes(run, step):
    return {name: record["hash"] for name, record in manifest_of(run, step)["files"].items() if name.endswith(".safetensors")}


def test_it_learns_and_is_not_adamw(tmp_path, muon_run_file, one_rank):
    zebra("train", muon_run_file, *settings([f"run.dir={tmp_path / 'adamw'}", "optimizer.type=adamw"]))
    muon, adamw = losses(one_rank), losses(tmp_path / "adamw")
    assert muon[0] == adamw[0]  # the loss before the first update
    assert muon[-1][2] != adamw[-1][2]
    assert muon[-1][2] < muon[0][2] - 0.1


@pytest.mark.parametrize("ranks, sharding, replicas", [
    (2, "none", 1), (2, "optimizer", 1), (3, "gradients", 1), (3, "full", 1), (4, "full", 1), (4, "full", 2),
    (4, "optimizer", 1)])
def test_any_ranks_and_mode_agree_with_one_rank(tmp_path, muon_run_file, one_rank, ranks, sharding, replicas):
    launch("mpirun", ranks, muon_run_file, f"run.dir={tmp_path / 'run'}", f"parallel.sharding={sharding}",
           f"parallel.replicas={replicas}", *(["train.micro_batch_size=1"] if ranks == 4 else []))
    assert_close(tmp_path / "run", one_rank)


def test_a_stopped_run_goes_on_to_the_bit(tmp_path, muon_run_file, one_rank):
    run = tmp_path / "run"
    for stop in (3, 6, STEPS):
        zebra("train", muon_run_file, *settings([f"run.dir={run}"]), "--stop-after", stop)
    assert metrics(run) == metrics(one_rank)
    assert hashes(run, STEPS) == hashes(one_rank, STEPS)


def test_four_ranks_go_on_to_the_bit_and_others_from_where_they_stopped(tmp_path, muon_run_file):
    common = ["parallel.sharding=full", "train.micro_batch_size=1", "train.precision=bf16"]
    launch("mpirun", 4, muon_run_file, f"run.dir={tmp_path / 'straight'}", *common)
    launch("mpirun", 4, muon_run_file, f"run.dir={tmp_path / 'stopped'}", *common, arguments=["--stop-after", "4"])
    resume = ["--resume", tmp_path / "stopped"]
    launch("mpirun", 4, muon_run_file, f"run.dir={tmp_path / 'again'}", *common, arguments=resume)
    assert hashes(tmp_path / "again", STEPS) == hashes(tmp_path / "straight", STEPS)
    launch("mpirun", 3, muon_run_file, f"run.dir={tmp_path / 'three'}", "parallel.sharding=gradients",
           "train.micro_batch_size=1", "train.precision=bf16", arguments=resume)
    (_, key, three), (_, other_key, straight) = losses(tmp_path / "three")[-1], losses(tmp_path / "straight")[-1]
    assert key == other_key == "validation_loss"
    assert three == pytest.approx(straight, rel=2e-3)


def test_what_is_saved_does_not_depend_on_who_saves_it(tmp_path, muon_run_file, one_rank):
    """Three ranks take over a checkpoint of one and save it again: the same tensors, in other parts."""
    import numpy
    from safetensors import safe_open

    def tensors(run, step):
        found, manifest = {}, manifest_of(run, step)
        for name, record in manifest["tensors"].items():
            for group in record["groups"]:
                pieces = []
                for part, begin, end in record["fragments"]:
                    file = run / f"checkpoints/step-{step:08}/{group}-{part:05}.safetensors"
                    with safe_open(file, framework="numpy") as opened:
                        pieces.append(opened.get_tensor(f"{name}@{begin}:{end}"))
                found[group, name] = numpy.concatenate(pieces)
        return found

    # A learning rate of almost nothing: weights move less than their rounding, momentum as ever.
    common = ["optimizer.lr=1e-30", "schedule.type=constant", "schedule.warmup_steps=0", "train.micro_batch_size=1"]
    zebra("train", muon_run_file, *settings([f"run.dir={tmp_path / 'one'}", *common]), "--stop-after", 4)
    launch("mpirun", 3, muon_run_file, f"run.dir={tmp_path / 'three'}", *common, "parallel.sharding=full",
           arguments=["--resume", tmp_path / "one"])
    zebra("train", muon_run_file, *settings([f"run.dir={tmp_path / 'one'}", *common]))
    one, three = tensors(tmp_path / "one", STEPS), tensors(tmp_path / "three", STEPS)
    assert one.keys() == three.keys()
    assert {group for group, _ in one} == {"weights", "momentum", "exp_avg", "exp_avg_sq"}
    for (group, name), values in one.items():
        scale = numpy.abs(values).max()
        numpy.testing.assert_allclose(three[group, name], values, rtol=0, atol=1e-5 * scale, err_msg=f"{group} {name}")
        assert (group == "momentum") <= ("_proj." in name)
        if group == "momentum":
            assert scale > 0


def test_checkpoints_say_which_groups_hold_a_tensor(one_rank):
    manifest = manifest_of(one_rank, STEPS)
    assert manifest["format_version"] == 2
    assert manifest["tensors"]["model.layers.0.self_attn.k_proj.weight"]["groups"] == ["momentum", "weights"]
    assert manifest["tensors"]["model.embed_tokens.weight"]["groups"] == ["exp_avg", "exp_avg_sq", "weights"]
    output, _ = zebra("checkpoint", "verify", one_rank)
    assert "BROKEN" not in output
    zebra("eval", one_rank, "--max-tokens", 2048)


def test_another_optimizer_cannot_go_on(tmp_path, muon_run_file, one_rank):
    values = settings([f"run.dir={tmp_path / 'run'}", "optimizer.type=adamw"])
    _, errors = zebra("train", muon_run_file, *values, "--resume", one_rank, status=2)
    assert "optimizer.type: muon -> adamw" in errors and "start a new run" in errors
    _, errors = zebra("checkpoint", "fork", one_rank, "--output", tmp_path / "fork", "--set", "optimizer.type=adamw", status=2)
    assert "holds no state of that optimizer" in errors and "model.init_from" in errors
    zebra("train", muon_run_file, *settings([f"run.dir={tmp_path / 'weights'}", "optimizer.type=adamw",
                                             f"model.init_from={one_rank}"]), "--stop-after", 1)


def test_keys_of_muon_need_muon(muon_run_file):
    _, errors = zebra("config", muon_run_file, *settings(["optimizer.type=adamw", "optimizer.momentum=0.9"]), status=2)
    assert "optimizer.momentum: only muon uses it" in errors


def plan(run_file, *values):
    return json.loads(zebra("plan", run_file, "--json", *settings(values))[0])


def test_plans_count_state_and_newton_schulz(muon_run_file):
    muon, adamw = plan(muon_run_file), plan(muon_run_file, "optimizer.type=adamw")
    assert adamw["checkpoint_bytes"] - muon["checkpoint_bytes"] == 4 * MATRICES
    assert adamw["state_bytes_per_rank"]["moments"] - muon["state_bytes_per_rank"]["moments"] == 4 * MATRICES

    def flops(rows, columns):
        r, c = min(rows, columns), max(rows, columns)
        return 5 * (4 * r * r * c + 2 * r ** 3)

    assert muon["newton_schulz_flops_per_rank_and_step"] == 4 * (
        2 * flops(64, 64) + 2 * flops(32, 64) + 3 * flops(176, 64))
    assert "newton_schulz_flops_per_rank_and_step" not in adamw
    assert "Newton-Schulz" in zebra("plan", muon_run_file)[0]
