"""scripts/gpu/run.sh with stand-ins for the programs that need a GPU: what it starts, in which order and for how long, and what
it leaves of it all."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

SOURCE = ROOT / "scripts/gpu"
TOOLS = ("ncu", "compute-sanitizer")  # of the CUDA toolkit; not in the bundle

# Writes down how it was called, then does what the program's users read.
STUB = """\
#!/usr/bin/env bash
echo "$(basename "$0") $*" >>"$CALLS"
{body}
"""
BODIES = {
    "check_primitives": 'cat "$BUNDLE/primitives.golden"',
    "hopper_primitives": 'echo "right: a box lies row by row"; echo "measured: TMA from L2: 5.25 TB/s"',
    "zebra_bench_attention": """\
while (($#)); do [ "$1" != --csv ] || file=$2; shift; done
[ -z "${file:-}" ] || cat >"$file" <<'END'
name,H,Hkv,D,T,W,forward_ms,backward_ms,both_gflops,both_ratio
zebra,16,16,128,16384,512,0.5,1.25,160000,1
flash-window,16,16,128,16384,512,0.75,1.5,12
END
""",
    "zebra": """\
case $1 in
  bench) while (($#)); do [ "$1" != --json ] || file=$2; shift; done
    echo '{"tokens_per_second": 50000.0, "mfu": 0.5, "product_ceiling": 7e14, "checkpoint_seconds": 1.5,
           "part_seconds": {"forward, local layers": 0.02, "head and loss": 0.01}}' >"$file" ;;
  train) for word in "$@"; do [[ $word != run.dir=* ]] || dir=${word#run.dir=}; done
    mkdir -p "$dir/checkpoints/step-00000040"
    echo weights >"$dir/checkpoints/step-00000040/weights-00000.safetensors" ;;
esac
""",
    "ncu": 'while (($#)); do [ "$1" != --export ] || touch "$2.ncu-rep"; shift; done',
}
PEERS = """\
import json, os, sys
if sys.argv[1] == "gpus":
    sys.exit(print(1))
open(os.environ["CALLS"], "a").write(f"peers.py {sys.argv[1]}\\n")
with open(sys.argv[2], "a") as file:
    if sys.argv[1] == "ceilings":
        print(json.dumps({"what": "card", "name": "A Card"}), file=file)
    print(json.dumps({"what": sys.argv[1], "case": {"D": 128}, "tflops": 500.5}), file=file)
"""


def plan_of(text):
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return {name: (int(seconds), programs) for name, seconds, *programs in lines}


PLAN = plan_of((SOURCE / "plan.txt").read_text())
STEPS = [name for name in PLAN if name != "all"]


class Bundle:
    """A folder as the bundle unpacks, with programs that do next to nothing."""

    def __init__(self, folder):
        self.folder, self.output, self.calls = folder / "bundle", folder / "results", folder / "calls.txt"
        shutil.copytree(SOURCE, self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        (self.folder / "bin").mkdir()
        (folder / "tools").mkdir()
        (self.folder / "primitives.golden").write_text("lane 0\n")
        (self.folder / "revision.txt").write_text("0123456789ab\n")
        (self.folder / "peers.py").write_text(PEERS)
        self.calls.touch()
        for program in {program for _, programs in PLAN.values() for program in programs} - {"python3"}:
            self.stub(program, BODIES.get(program, ""))
        self.environment = {**os.environ, "CALLS": str(self.calls), "BUNDLE": str(self.folder),
                            "PATH": os.pathsep.join([str(pathlib.Path(sys.executable).parent), str(folder / "tools"),
                                                     os.environ["PATH"]])}

    def place_of(self, program):
        return (self.folder.parent / "tools" if program in TOOLS else self.folder / "bin") / program

    def stub(self, program, body):
        self.place_of(program).write_text(STUB.format(body=body))
        self.place_of(program).chmod(0o755)

    def plan(self, all_seconds, **limits):
        """These steps only, with these limits."""
        lines = [f"all {all_seconds}"] + [f"{name} {seconds} {' '.join(PLAN[name][1])}" for name, seconds in limits.items()]
        (self.folder / "plan.txt").write_text("# a plan\n" + "\n".join(lines) + "\n")

    def command(self, *options):
        return ["bash", self.folder / "run.sh", *options, self.output]

    def run(self, *options, status=0):
        result = subprocess.run(self.command(*options), capture_output=True, text=True, env=self.environment, timeout=120)
        assert result.returncode == status, result.stdout + result.stderr
        return result.stdout + result.stderr

    def results(self):
        return json.loads((self.output / "results.json").read_text())

    def outcomes(self):
        return {step["name"]: step["outcome"] for step in self.results()["steps"]}


@pytest.fixture
def bundle(tmp_path):
    return Bundle(tmp_path)


def test_the_plan_fits_nine_minutes():
    assert PLAN["all"][0] == 540
    # The last one has what is left.
    assert sum(PLAN[name][0] for name in STEPS[:-1]) <= 540
    assert STEPS.index("lane_layouts") < STEPS.index("local_attention") < STEPS.index("attention") < STEPS.index("steps_1.3b")
    assert STEPS.index("equal_bits") < STEPS.index("kernel_profile") < STEPS.index("memcheck")


def test_every_step_is_there_and_every_program_is_built():
    functions = re.findall(r"^([\w.]+)\(\)", (SOURCE / "steps.sh").read_text(), re.MULTILINE)
    assert set(STEPS) <= set(functions)
    built = re.search(r"set\(gpu_programs ([^)]*)\)", (ROOT / "tests/Gpu.cmake").read_text())[1].split()
    needed = {program for name in STEPS for program in PLAN[name][1]}
    assert needed - {"python3", "torchrun.sh", *TOOLS} == set(built)


def test_all_steps_run_in_the_plan_s_order_and_leave_eight_files(bundle):
    printed = bundle.run()
    assert bundle.outcomes() == {**dict.fromkeys(STEPS, "passed"), "sharded": "not for this machine"}
    calls = bundle.calls.read_text()
    order = ["peers.py ceilings", "check_primitives", "hopper_primitives", "check_local_attention", "check_row_kernels",
             "test_ops [cuda]", "test_train [cuda]", "test_distributed [cuda]", "-D 64,128", "-D 128 -W 512,1024", "--document-length",
             "peers.py attention", "350m.yaml --set data.document_mask=false", "350m.yaml --set data.document_mask=true", "1.3b.yaml",
             "zebra train", "ncu", "memcheck", "racecheck", "synccheck", "peers.py flex"]
    places = [calls.index(word) for word in order]
    assert places == sorted(places)
    assert sorted(path.name for path in bundle.output.iterdir()) == [
        "attention.csv", "hopper.txt", "kernels.ncu-rep", "log.txt", "peers.jsonl", "results.json", "steps.jsonl", "summary.txt"]
    assert "steps passed" in printed


def test_the_results_have_every_figure(bundle):
    bundle.plan(60, ceilings=9, hopper=9, attention=9, steps_350m=9)
    bundle.run()
    results = bundle.results()
    assert (results["format"], results["format_version"], results["revision"]) == ("zebra-gpu-results", 1, "0123456789ab")
    assert results["card"]["name"] == "A Card"
    assert [step["name"] for step in results["steps"]] == ["ceilings", "hopper", "attention", "steps_350m"]
    assert all(0 <= step["seconds"] < 9 and step["limit_seconds"] == 9 for step in results["steps"])
    assert results["hopper"] == {"right": ["a box lies row by row"], "wrong": [],
                                 "measured": {"TMA from L2": {"value": 5.25, "unit": "TB/s"}}}
    # The second row of the table was cut off.
    assert [(row["step"], row["name"], row["W"], row["backward_ms"]) for row in results["attention"]] == [
        ("attention", "zebra", 512, 1.25)]
    assert results["peers"] == [{"what": "ceilings", "case": {"D": 128}, "tflops": 500.5}]
    assert results["training"][0]["step"] == "steps_350m" and results["training"][0]["part_seconds"]["head and loss"] == 0.01
    summary = (bundle.output / "summary.txt").read_text()
    for word in ("A Card", "4 of 4 steps passed", "TMA from L2: 5.25 TB/s", "attention: zebra", "50000 tokens/s", "66.7 %  forward"):
        assert word in summary


def test_a_step_that_fails_or_hangs_stops_no_other(bundle):
    bundle.stub("check_primitives", "echo other lanes")
    bundle.stub("check_local_attention", "exit 3")
    bundle.stub("check_row_kernels", "trap '' TERM; while true; do sleep 1000; done")
    bundle.plan(60, lane_layouts=9, local_attention=9, row_kernels=1, trainer=9)
    bundle.run(status=1)
    assert bundle.outcomes() == {"lane_layouts": "failed with status 1", "local_attention": "failed with status 3",
                                 "row_kernels": "out of time", "trainer": "passed"}
    assert results_say(bundle, "wrong", "lane layouts") and "other lanes" in (bundle.output / "log.txt").read_text()


def results_say(bundle, kind, word):
    return any(word in line for line in bundle.results()["hopper"][kind])


def test_a_missing_program_is_a_failure_unless_a_part_is_enough(bundle):
    bundle.place_of("test_ops").unlink()
    bundle.plan(60, operators=9, trainer=9)
    bundle.run(status=1)
    assert bundle.outcomes() == {"operators": "missing: test_ops", "trainer": "passed"}
    bundle.run("--partial")
    bundle.place_of("test_train").unlink()
    bundle.run("--partial", status=1)  # nothing passed


def test_the_whole_run_ends_in_time(bundle):
    bundle.stub("check_local_attention", "exec sleep 1000")
    bundle.plan(3, local_attention=9, trainer=9)
    begun = time.monotonic()
    bundle.run(status=1)
    assert time.monotonic() - begun < 60
    outcomes = bundle.outcomes()
    assert outcomes["local_attention"] in ("out of time", "no time left")  # on a busy machine it may not begin
    assert outcomes["trainer"] == "no time left"


def test_no_program_outlives_its_step(bundle, tmp_path):
    alive = tmp_path / "alive"
    bundle.stub("check_local_attention", f"trap '' TERM; echo $$ > {alive}; while :; do sleep 0.1; done")
    bundle.plan(60, local_attention=4)
    bundle.run(status=1)
    assert bundle.outcomes() == {"local_attention": "out of time"}
    state = pathlib.Path(f"/proc/{alive.read_text().strip()}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"  # dead, if its parent does not ask


def test_a_signal_ends_the_step_and_keeps_the_results(bundle):
    bundle.stub("check_local_attention", "exec sleep 1000")
    bundle.plan(500, trainer=9, local_attention=400, operators=9)
    run = subprocess.Popen(bundle.command(), env=bundle.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while "check_local_attention" not in bundle.calls.read_text():
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    assert run.wait(60) == 1
    outcomes = bundle.outcomes()
    assert outcomes["trainer"] == "passed" and outcomes["operators"] == "no time left"
    assert outcomes["local_attention"] != "passed"


def test_a_dry_run_hides_the_gpus_and_fails(bundle):
    for program in ("check_local_attention", "zebra"):
        bundle.stub(program, '[ "${CUDA_VISIBLE_DEVICES-unset}" = "" ] && echo "there is no GPU"; exit 1')
    bundle.plan(60, local_attention=9, equal_bits=9, row_kernels=9)
    bundle.run("--dry-run", status=1)
    assert bundle.outcomes() == {"local_attention": "no GPU", "equal_bits": "no GPU", "row_kernels": "passed"}


def test_only_some_steps(bundle):
    bundle.run("--only", "operators,row_kernels")
    assert bundle.outcomes() == {"row_kernels": "passed", "operators": "passed"}
    assert "plan.txt has no such step" in bundle.run("--only", "operator", status=2)


def test_runs_that_differ_in_a_bit_fail(bundle):
    bundle.stub("zebra", BODIES["zebra"] + '\n[[ $dir != */second ]] || echo other >"$dir/checkpoints/step-00000040/weights-00000.safetensors"')
    bundle.plan(60, equal_bits=9)
    bundle.run(status=1)
    assert bundle.outcomes() == {"equal_bits": "failed with status 1"}


def test_another_torch_is_refused(bundle, tmp_path):
    fake = tmp_path / "other/torch"
    fake.mkdir(parents=True)
    (fake / "__init__.py").touch()
    (fake / "version.py").write_text("__version__ = '2.10.0'\n")
    bundle.environment["PYTHONPATH"] = str(fake.parent)
    assert "no torch 2.11" in bundle.run(status=2)


def test_the_window_of_the_peers_is_ours_and_without_a_gpu_they_say_so():
    script = """
import sys; sys.path.insert(0, sys.argv[1])
import peers, torch
distance = torch.arange(50)[:, None] - torch.arange(50)[None]
visible = (distance >= 0) & (distance <= 7)
assert peers.visible_pairs(50, 7) == visible.sum() and peers.visible_pairs(50, 49) == 1275 == peers.visible_pairs(50, 1000)
table = peers.rotary_table(50, 16, "cpu")
q, k, v = (torch.randn(1, 2, 50, 16) for _ in range(3))
expected = torch.nn.functional.scaled_dot_product_attention(peers.rotated(q, table), peers.rotated(k, table), v, attn_mask=visible)
assert (peers.flex_with_rotary(50, 7, table, "cpu")(q, k, v) - expected).abs().max() < 1e-5
sys.argv[1:] = ["ceilings"]
peers.main()
"""
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", script, SOURCE], capture_output=True, text=True,
                            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    assert result.returncode == 1 and result.stderr.strip() == "there is no GPU: torch.cuda.is_available() is false"
