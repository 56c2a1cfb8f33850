"""Run folders as `zebra train` writes them (docs/training.md)."""

import dataclasses
import json
import pathlib

import yaml

SAMPLES = 3  # of a run, the newest


class InvalidInput(Exception):
    """What the user can put right."""


@dataclasses.dataclass(frozen=True)
class Run:
    name: str  # as it is called beside the other runs
    folder: pathlib.Path
    config: dict
    status: dict
    starts: list  # rows of starts.jsonl; runs of older builds have none
    steps: list  # rows of training, in order
    validations: list  # those of validations
    samples: list  # (step, text), the newest last

    @property
    def max_steps(self):
        return self.config["train"]["max_steps"]

    @property
    def skipped(self):
        return [row["step"] for row in self.steps if row.get("skipped")]

    def tokens_at(self, step):
        """Read by the model after so many steps."""
        tokens_of_a_step = self.config["train"]["global_batch_size"] * self.config["data"]["sequence_length"]
        return step * tokens_of_a_step


def _rows(path):
    """The rows of a file of JSON lines; what is none (the last line of an interrupted write, say) is left out."""
    rows = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def _samples(folder):
    samples = [(int(path.stem.removeprefix("step-")), path.read_text(errors="replace"))
               for path in sorted((folder / "samples").glob("step-*.txt")) if path.stem.removeprefix("step-").isdigit()]
    return samples[-SAMPLES:]


def read(folder, name):
    if not (folder / "config.yaml").is_file():
        raise InvalidInput(f"{folder}: is no run folder: it has no config.yaml; name the run.dir of a run that was started")
    rows = [row for row in _rows(folder / "metrics.jsonl") if isinstance(row.get("step"), int)]
    if not rows:
        raise InvalidInput(f"{folder}: metrics.jsonl holds no row yet; wait for the first logged step")
    status = folder / "status.json"
    return Run(name, folder, yaml.safe_load((folder / "config.yaml").read_text()),
               json.loads(status.read_text()) if status.exists() else {}, _rows(folder / "starts.jsonl"),
               [row for row in rows if "loss" in row], [row for row in rows if "validation_loss" in row], _samples(folder))


def names_of(folders):
    """What tells the folders apart: the end of their paths, as short as it can be."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise InvalidInput("a run is named twice")


def read_all(folders):
    faults, runs = [], []
    for folder, name in zip(folders, names_of(folders), strict=True):
        try:
            runs.append(read(folder, name))
        except InvalidInput as fault:
            faults.append(str(fault))
    if faults:
        raise InvalidInput("\n".join(faults))
    return runs
