"""Commands on a disk that fails: the n-th operation that changes a file is made to fail, for a sample of all n, or for every
n with ZEBRA_LONG_TESTS. Whatever fails, a command ends with a status and a message, loses nothing that was there, and
the same command without faults comes to the same bits as one that was never disturbed."""

import collections
import errno
import hashlib
import json
import os
import random
import shutil
import struct
import subprocess

import pytest
from conftest import LONG, RUN_FILE, ZEBRA, metrics, status_of, zebra

SECONDS = 120  # a command that takes a few seconds must end
SEED = random.randrange(1 << 32)  # shown with every failure, so that its numbers can be had again
SAMPLE = 2  # operations of each command and way to fail
WAYS = {"no space once": (errno.ENOSPC, False), "no space from there on": (errno.ENOSPC, True),
        "an I/O error once": (errno.EIO, False)}

SMALL = {"hidden_size: 64": "hidden_size: 32", "intermediate_size: 176": "intermediate_size: 64",
         "num_hidden_layers: 4": "num_hidden_layers: 2", "max_steps: 50": "max_steps: 6", "warmup_steps: 10": "warmup_steps: 2",
         "every_steps: 10": "every_steps: 2",
         "global_batch_size: 8": "global_batch_size: 4", "every_steps: 25": "every_steps: 3", "max_tokens: 2048": "max_tokens: 512"}
# What a sweep's arms write beside a run is small here: each takes one step and saves once.
ARMS = """\
run: {{dir: {folder}/run, seed: 1, device: cpu}}
model: {{hidden_size: 16, intermediate_size: 16, num_hidden_layers: 1, num_attention_heads: 1, num_key_value_heads: 1,
        window_size: 8}}
data: {{tokenizer: {data}/tok.model, train: [{{path: {data}/train}}], sequence_length: 32}}
schedule: {{warmup_steps: 0}}
train: {{max_steps: 1, global_batch_size: 1, precision: fp32}}
parallel: {{sharding: none}}
checkpoint: {{every_steps: 1}}
logging: {{every_steps: 1}}
"""
SWEEP = """\
name: tiny
dir: {folder}/sweep
base: {folder}/run.yaml
axes:
  attention: {{full: {{model.self_attn_type: full}}, local: {{model.self_attn_type: local}}}}
probes: {{training_share: 0.5, training_sequences: 10, training_tasks: [associative_recall], tasks: [associative_recall], items: 2,
         keys: 16, values: 16}}
"""


def write_run_file(folder, data):
    text = RUN_FILE.format(dir=folder / "run", data=data)
    for old, new in SMALL.items():
        text = text.replace(old, new)
    (folder / "run.yaml").write_text(text)


def hashes(folder, *patterns):
    """Of files, by path. Those that name the folder itself, or the time, are left out."""
    own = {"config.yaml", "manifest.json", "status.json", "build.json", "starts.jsonl"}
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for pattern in patterns
            for path in folder.glob(pattern) if path.is_file() and path.name not in own and ".partial-" not in str(path)}


def newest(run):
    return max((path.parent for path in run.glob("checkpoints/step-*/manifest.json")), default=None)


class Command:
    """A command that makes `output` in a folder, from what `prepare` put there."""
    output = "output"
    variables = {}  # of its environment

    def prepare(self, folder, data):
        write_run_file(folder, data)
        zebra("train", folder / "run.yaml")

    def outcome(self, folder):
        if (folder / self.output).is_file():
            return hashes(folder, self.output)
        return hashes(folder / self.output, "**/*")

    def check_nothing_lost(self, folder, prepared):
        pass

    def is_whole(self, folder, lasting):
        """Whether a command that ended with 0 left nothing for its next start; otherwise it must have warned."""
        return True


class Training(Command):
    """A new run; what is compared is the last checkpoint and the metrics."""
    first_steps = 0

    def prepare(self, folder, data):
        write_run_file(folder, data)
        if self.first_steps:
            zebra("train", folder / "run.yaml", "--stop-after", self.first_steps)

    def arguments(self, folder, data):
        return ["train", folder / "run.yaml"]

    def outcome(self, folder):
        last = folder / "run/checkpoints/step-00000006"
        return hashes(last, "*") | {"metrics": metrics(folder / "run"), "state": status_of(folder / "run")["state"]}

    def check_nothing_lost(self, folder, prepared):
        if self.first_steps:
            assert newest(folder / "run").name >= "step-00000002"
            rows = metrics(prepared / "run")
            assert metrics(folder / "run")[:len(rows)] == rows

    def is_whole(self, folder, lasting):
        return not lasting  # where the disk stays full after the last checkpoint, status.json is not up to date


class Resumed(Training):
    """A run that goes on."""
    first_steps = 2


class Pack(Command):
    def prepare(self, folder, data):
        pass

    def arguments(self, folder, data):
        return ["data", "pack", "--input", data / "corpus/valid", "--tokenizer", data / "tok.model", "--output", folder / "output"]


class Tokenizer(Pack):
    def arguments(self, folder, data):
        return ["data", "tokenizer", "--input", data / "corpus/valid", "--vocab-size", 400, "--output", folder / "output"]


class Export(Command):
    def arguments(self, folder, data):
        return ["export", folder / "run", "--output", folder / "output"]


class Import(Command):
    def prepare(self, folder, data):
        super().prepare(folder, data)
        zebra("export", folder / "run", "--output", folder / "exported")

    def arguments(self, folder, data):
        return ["import", folder / "exported", "--output", folder / "output"]


class Fork(Command):
    def arguments(self, folder, data):
        return ["checkpoint", "fork", f"{folder}/run@4", "--output", folder / "output"]


class Prune(Command):
    output = "run/checkpoints"

    def arguments(self, folder, data):
        return ["checkpoint", "prune", folder / "run", "--keep-last", 1]

    def check_nothing_lost(self, folder, prepared):
        assert newest(folder / "run").name == "step-00000006"


class Eval(Command):
    def prepare(self, folder, data):
        super().prepare(folder, data)
        (folder / "output").write_text('{"perplexity": 1}')

    def arguments(self, folder, data):
        return ["eval", folder / "run", "--max-tokens", 512, "--json", folder / "output"]

    def check_nothing_lost(self, folder, prepared):
        json.loads((folder / "output").read_text())


class Sweep(Command):
    """Of two arms one is there: the probes are written, the other arm is trained and measured, and results.json. What is
    started for the report does nothing: cost and report are commands of their own."""
    variables = {"ZEBRA_PYTHON": "true"}

    def prepare(self, folder, data):
        (folder / "run.yaml").write_text(ARMS.format(folder=folder, data=data))
        (folder / "sweep.yaml").write_text(SWEEP.format(folder=folder))
        zebra("ablate", folder / "sweep.yaml", "--arm", "local_seed-1")
        shutil.rmtree(folder / "sweep/data")

    def arguments(self, folder, data):
        return ["ablate", folder / "sweep.yaml"]

    def outcome(self, folder):
        results = json.loads((folder / "sweep/report/results.json").read_text())
        assert [arm["state"] for arm in results["arms"]] == ["finished", "finished"]
        rows = {arm: metrics(folder / "sweep/arms" / arm) for arm in ("full_seed-1", "local_seed-1")}
        return hashes(folder / "sweep", "data/**/*", "arms/*/checkpoints/*/*", "arms/*/recall.json") | rows

    def check_nothing_lost(self, folder, prepared):
        before, after = (hashes(of / "sweep/arms", "*/**/*") for of in (prepared, folder))
        assert before.items() <= after.items()


class Cost(Sweep):
    """The arms are there: their cost is measured."""

    def prepare(self, folder, data):
        super().prepare(folder, data)
        zebra("ablate", folder / "sweep.yaml", "--arm", "full_seed-1")
        with open(folder / "sweep.yaml", "a") as file:
            file.write("cost_lengths: [8]\n")

    def is_whole(self, folder, lasting):
        return (folder / "sweep/cost.json").exists()

    def outcome(self, folder):
        assert json.loads((folder / "sweep/report/results.json").read_text())["cost"]
        return super().outcome(folder)


class Report(Cost):
    """The arms are there: the report is written."""
    variables = {}
    is_whole = Command.is_whole

    def arguments(self, folder, data):
        return ["ablate", folder / "sweep.yaml", "--report"]

    def outcome(self, folder):
        # Without the hidden files of a script that could not even remove what it had begun.
        return hashes(folder / "sweep/report", "[!.]*", "plots/[!.]*")


COMMANDS = {"train": Training(), "resume": Resumed(), "pack": Pack(), "tokenizer": Tokenizer(), "export": Export(),
            "import": Import(), "prune": Prune(), "fork": Fork(), "eval": Eval(), "sweep": Sweep(), "sweep-cost": Cost(),
            "sweep-report": Report()}


def run(command, folder, data, variables={}):
    return subprocess.run([ZEBRA, *map(str, command.arguments(folder, data))], capture_output=True, text=True,
                          env=os.environ | command.variables | variables, timeout=SECONDS)


def run_with_faults(faulty_disk, command, folder, data, at=0, error=0, lasting=False):
    """Runs the command; returns it and how many operations there were, and the one that failed."""
    counter = folder.parent / "counter"
    counter.write_bytes(bytes(4096))
    variables = {"LD_PRELOAD": str(faulty_disk), "FAULTY_DISK_PATHS": f"{folder}/", "FAULTY_DISK_COUNTER": str(counter),
                 "FAULTY_DISK_AT": str(at), "FAULTY_DISK_ERROR": str(error)} | ({"FAULTY_DISK_LASTING": "1"} if lasting else {})
    result = run(command, folder, data, variables)
    content = counter.read_bytes()
    return result, struct.unpack("q", content[:8])[0], content[8:].split(b"\0")[0].decode()


@pytest.fixture
def undisturbed(shared, data, faulty_disk):
    """A command's prepared folder, what an undisturbed run comes to, and its operations."""
    def get(name):
        command = COMMANDS[name]

        def make(folder):
            prepared, whole = folder / "prepared", folder / "whole"
            prepared.mkdir()
            command.prepare(prepared, data)
            restore(prepared, whole)
            result, operations, _ = run_with_faults(faulty_disk, command, whole, data)
            assert result.returncode == 0, result.stderr
            (folder / "outcome.json").write_text(json.dumps([command.outcome(whole), operations]))

        folder = shared(f"faults-{name}", make)
        return folder / "prepared", *json.loads((folder / "outcome.json").read_text())

    return get


def restore(prepared, folder):
    """A copy of what was prepared, with its own paths in its run files."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(prepared, folder)
    for path in (*folder.glob("*.yaml"), *folder.glob("sweep/arms/*.yaml")):
        path.write_text(path.read_text().replace(str(prepared), str(folder)))


def check(result, error, failed):
    """A fault costs what it hits, or ends the command with a message that names it."""
    told = f"after a failed {failed}: status {result.returncode}\n{result.stdout}\n{result.stderr}"
    assert result.returncode in (0, 1, 2), told
    if result.returncode:
        assert os.strerror(error) in result.stderr and "/" in result.stderr, told
    for sign in ("terminate called", "Traceback", "what():", "frame #", "None: "):
        assert sign not in result.stderr, told


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", COMMANDS)
def test_whichever_operation_fails_nothing_is_lost(faulty_disk, undisturbed, data, tmp_path, name, way):
    command, (error, lasting) = COMMANDS[name], WAYS[way]
    prepared, expected, operations = undisturbed(name)
    assert operations > 0
    folder = tmp_path / "folder"
    numbers = range(1, operations + 1)
    if not LONG:
        numbers = sorted(random.Random(f"{SEED} {name} {way}").sample(numbers, min(SAMPLE, operations)))
    statuses = collections.Counter()
    for number in numbers:
        restore(prepared, folder)
        result, _, failed = run_with_faults(faulty_disk, command, folder, data, number, error, lasting)
        check(result, error, failed)
        statuses[result.returncode] += 1
        told = f"seed {SEED}: after failed operation {number} of {operations}, {failed}: {result.stderr}"
        command.check_nothing_lost(folder, prepared)
        whole = command.is_whole(folder, lasting)
        assert result.returncode or whole or "warning: " in result.stderr, told
        if result.returncode or not whole:
            again = run(command, folder, data)
            # A command that failed when its output was whole says that it is there.
            assert again.returncode == 0 or (again.returncode == 2 and "exist" in again.stderr), told + again.stderr
        assert json.loads(json.dumps(command.outcome(folder))) == expected, told
    print(f"{name}, {way}: {operations} operations, tried {len(numbers)}, statuses {dict(statuses)}")
