"""What compare.py lets train: `zebra train`, and processes that train in PyTorch. Only the one that is asked computes."""

import dataclasses
import json
import os
import pathlib
import select
import signal
import subprocess
import time

from peak_memory import PeakMemory

HERE = pathlib.Path(__file__).resolve().parent
SECONDS_BETWEEN_LOOKS = 0.05
STEPS_WITHOUT_END = 1_000_000


class Failed(Exception):
    """A contender cannot go on; says why."""


@dataclasses.dataclass
class Measurement:
    tokens_per_second: list  # by step
    losses: list  # by step
    peak_bytes: int | None

    @property
    def rate(self):
        """Tokens of all steps over their seconds."""
        return len(self.tokens_per_second) / sum(1 / rate for rate in self.tokens_per_second)


@dataclasses.dataclass(frozen=True)
class Job:
    """What all contenders of a case train."""
    shape: dict  # fields of peer_model.Shape
    batch: int
    length: int
    precision: str
    device: str
    threads: int
    dataset: pathlib.Path
    tokenizer: pathlib.Path
    initial_weights: pathlib.Path  # safetensors
    initial_checkpoint: pathlib.Path  # the same, imported
    optimizer: dict

    def environment(self):
        return os.environ | {"OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}


def why_it_ended(process, log):
    if process.returncode < 0:
        return f"killed by {signal.Signals(-process.returncode).name}, see {log}"
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"status {process.returncode}: {lines[-1].strip() if lines else 'it said nothing'}"


class Ours:
    """Each measurement is a start of `zebra train` that goes on where the one before stopped."""

    def __init__(self, zebra, job, folder, name="ours", deterministic=True):
        self.zebra, self.job, self.name, self.folder = zebra, job, name, folder
        self.weights = "masters" if job.precision == "bf16" else "float32"
        self.step = 0
        folder.mkdir(parents=True)
        self.run_file, self.log, self.metrics = folder / "run.yaml", folder / "output.txt", folder / "run/metrics.jsonl"
        self.run_file.write_text(json.dumps(self._run_file(deterministic), indent=2) + "\n")

    def _run_file(self, deterministic):
        job = self.job
        settings = {key: value for key, value in job.optimizer.items() if key != "grad_clip"}
        return {
            "run": {"name": self.name, "dir": str(self.folder / "run"), "seed": 1, "device": job.device},
            "model": {"init_from": str(job.initial_checkpoint), "self_attn_type": "mix",
                      "layer_group_size": job.shape["group"], "window_size": job.shape["window"]},
            "data": {"tokenizer": str(job.tokenizer), "train": [{"path": str(job.dataset)}], "sequence_length": job.length,
                     "document_mask": False},
            "optimizer": settings,
            "schedule": {"type": "constant"},
            "train": {"max_steps": STEPS_WITHOUT_END, "global_batch_size": job.batch, "micro_batch_size": job.batch,
                      "precision": job.precision, "grad_clip": job.optimizer["grad_clip"], "deterministic": deterministic},
            "checkpoint": {"every_steps": STEPS_WITHOUT_END, "keep_last": 1},
            "logging": {"every_steps": 1},
        }

    def start(self):
        """Nothing to do: each measurement starts a process of its own."""

    def close(self):
        """Nothing is left running."""

    def measure(self, warmup, steps):
        """Steps before the last one's end count: neither starting nor saving the checkpoint does."""
        first, last = self.step + warmup + 1, self.step + warmup + steps
        with self.log.open("wb") as log:
            process = subprocess.Popen([self.zebra, "train", self.run_file, "--stop-after", str(last)], stdout=log,
                                       stderr=subprocess.STDOUT, env=self.job.environment())
        try:
            peak = self._watch(process, first, last)
        except BaseException:
            process.terminate()
            raise
        finally:
            process.wait()
        if process.returncode != 0:
            raise Failed(why_it_ended(process, self.log))
        self.step = last
        rows = [row for row in map(json.loads, self.metrics.read_text().splitlines()) if first <= row["step"] <= last]
        return Measurement([row["tokens_per_second"] for row in rows], [row["loss"] for row in rows], peak)

    def _watch(self, process, first, last):
        """Peak memory from the end of the warm-up to the last step: a look counts when that step is not yet logged after it."""
        memory, counting, peak = PeakMemory(process.pid, self.job.device), False, None
        while process.poll() is None:
            memory.look()
            logged = self._last_logged_step()
            if logged >= last:
                break
            peak = memory.bytes if counting else None
            if not counting and logged >= first - 1:
                memory.restart()
                counting = True
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return peak

    def _last_logged_step(self):
        try:
            lines = self.metrics.read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return 0
        whole = [line for line in lines if line.endswith("\n")]
        return json.loads(whole[-1])["step"] if whole else 0


class Peer:
    """A process that lives from start() to close(), so that it compiles once."""

    def __init__(self, python, job, folder, name, weights):
        self.python, self.job, self.name, self.weights = python, job, name, weights
        self.folder, self.log = folder, folder / "output.txt"
        self.process = None
        self.grouping = None

    def settings(self):
        job = self.job
        how, form = self.name.split("-")
        return {"shape": job.shape, "form": form, "compiled": how == "compile", "weights": self.weights,
                "device": job.device, "threads": job.threads, "batch": job.batch, "length": job.length,
                "dataset": str(job.dataset), "initial_weights": str(job.initial_weights), "optimizer": job.optimizer}

    def start(self):
        self.folder.mkdir(parents=True)
        settings = self.folder / "settings.json"
        settings.write_text(json.dumps(self.settings(), indent=2) + "\n")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([self.python, HERE / "peer_train.py", settings], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log, env=self.job.environment())
        self.grouping = self._answer()["grouping"]

    def close(self):
        if self.process is not None:
            self.process.kill()  # it has nothing to save
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()

    def run(self, steps, memory=None):
        """Tokens per second and loss of each step."""
        try:
            self.process.stdin.write(f"{steps}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            self.process.wait()
            raise Failed(why_it_ended(self.process, self.log)) from None
        return self._answer(memory)

    def measure(self, warmup, steps):
        self.run(warmup)
        memory = PeakMemory(self.process.pid, self.job.device)
        memory.restart()
        answer = self.run(steps, memory)
        memory.look()
        return Measurement(answer["tokens_per_second"], answer["loss"], memory.bytes)

    def _answer(self, memory=None):
        """Never more than one line is on its way, so that none can hide in the buffer from select."""
        while not select.select([self.process.stdout], [], [], SECONDS_BETWEEN_LOOKS)[0]:
            if memory:
                memory.look()
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise Failed(why_it_ended(self.process, self.log))
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"].splitlines()[0])
        return answer
