#!/usr/bin/env python3
"""Sends the figures of a run to an experiment tracker: Weights & Biases, MLflow or Trackio.

    python scripts/track.py runs/tiny --to wandb [--project NAME] [--name NAME] [--follow]

Reads metrics.jsonl, status.json and config.yaml of the run folder and changes nothing but RUN/tracking, which remembers what was
sent: started again it goes on, with the same run of the tracker. Each step is sent once. Steps beyond the newest checkpoint wait
for the next one, since a run that is interrupted does them again; --live sends them at once. The package of the tracker must be
installed; where it keeps its data and whether it uses the network is its own setting (WANDB_MODE=offline, MLFLOW_TRACKING_URI,
TRACKIO_DIR).
"""

import argparse
import importlib
import itertools
import json
import math
import os
import pathlib
import re
import sys
import time
import uuid

import yaml


class Refusal(Exception):
    """What the user can put right."""


def figures(value, tag=""):
    """The numbers of a row by their names: KEY, or KEY/LABEL/… within lists and maps, as TensorBoard gets them too."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name not in ("begin", "end", "name"):
                yield from figures(part, f"{tag}/{name}" if tag else name)
    elif isinstance(value, list):
        for position, part in enumerate(value):
            label = position
            if isinstance(part, dict):
                label = f"{part['begin']}-{part['end']}" if "begin" in part and "end" in part else part.get("name", position)
            yield from figures(part, f"{tag}/{label}")
    elif value is None:
        yield tag, math.nan
    elif isinstance(value, (bool, int, float)):
        yield tag, float(value)


def flat(settings, prefix=""):
    """{"model": {"hidden_size": 64}} as {"model.hidden_size": 64}."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


class Run:
    """A run folder, as far as it is read here."""

    def __init__(self, folder):
        self.folder = folder
        if not (folder / "config.yaml").is_file():
            raise Refusal(f"{folder}: is no run folder (it has no config.yaml); give the run.dir of a run")
        self.config = yaml.safe_load((folder / "config.yaml").read_text())

    def status(self):
        return json.loads((self.folder / "status.json").read_text())

    def steps(self):
        """(step, its figures) in order; the row of a validation belongs to that of its step."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        rows = [json.loads(line) for line in lines]
        for step, group in itertools.groupby(rows, lambda row: row["step"]):
            yield step, dict(figure for row in group for figure in figures({k: v for k, v in row.items() if k != "step"}))

    def last_settled_step(self):
        checkpoint = self.status()["checkpoint"]
        found = re.search(r"step-(\d+)$", checkpoint or "")
        return int(found[1]) if found else 0


class WandB:
    def __init__(self, run, project, name, identity, is_new):
        self.session = importlib.import_module("wandb").init(project=project, name=name, id=identity, resume="allow", config=run.config,
                                                             dir=str(run.folder / "tracking"))

    def send(self, step, values):
        self.session.log(values, step=step)

    def close(self):
        self.session.finish()


class MLflow:
    MOST_AT_ONCE = 1000  # figures or parameters of a request

    def __init__(self, run, project, name, identity, is_new):
        mlflow = importlib.import_module("mlflow")
        self.entities = mlflow.entities
        self.client = mlflow.MlflowClient()
        experiment = self.client.get_experiment_by_name(project)
        number = experiment.experiment_id if experiment else self.client.create_experiment(project)
        known = self.client.search_runs([number], f"tags.zebra_run = '{identity}'")
        if known:
            self.run = known[0].info.run_id
            self.client.update_run(self.run, status="RUNNING")
            return
        self.run = self.client.create_run(number, run_name=name, tags={"zebra_run": identity}).info.run_id
        settings = [self.entities.Param(key, str(value)[:6000]) for key, value in flat(run.config)]
        for begin in range(0, len(settings), 100):
            self.client.log_batch(self.run, params=settings[begin:begin + 100])

    def send(self, step, values):
        now = int(time.time() * 1000)
        # Its names have no brackets and the like, which a path of a dataset may have.
        rows = [self.entities.Metric(re.sub(r"[^\w\-. /]", "_", name), value, now, step) for name, value in values.items()]
        for begin in range(0, len(rows), self.MOST_AT_ONCE):
            self.client.log_batch(self.run, metrics=rows[begin:begin + self.MOST_AT_ONCE])

    def close(self):
        self.client.set_terminated(self.run)


class Trackio:
    def __init__(self, run, project, name, identity, is_new):
        # It knows runs by their names alone.
        self.session = importlib.import_module("trackio").init(project=project, name=f"{name}-{identity}", config=dict(flat(run.config)),
                                                               resume="never" if is_new else "must")

    def send(self, step, values):
        self.session.log(values, step=step)

    def close(self):
        self.session.finish()


TRACKERS = {"wandb": WandB, "mlflow": MLflow, "trackio": Trackio}


class Memory:
    """RUN/tracking/TRACKER.json: which run of the tracker this is, and the last step that it has."""

    def __init__(self, run, tracker):
        self.path = run.folder / "tracking" / f"{tracker}.json"
        self.is_new = not self.path.exists()
        self.state = {"run": uuid.uuid4().hex[:8], "step": 0} if self.is_new else json.loads(self.path.read_text())

    def save(self, step):
        self.state["step"] = step
        self.path.parent.mkdir(exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.state) + "\n")
        os.replace(partial, self.path)


def send_what_is_there(run, tracker, memory, live):
    last = math.inf if live else run.last_settled_step()
    sent = memory.state["step"]
    for step, values in run.steps():
        if sent < step <= last:
            tracker.send(step, values)
            memory.save(step)
    return memory.state["step"] - sent


def track(options):
    run = Run(options.run)
    memory = Memory(run, options.to)
    name = options.name or run.config["run"]["name"]
    try:
        tracker = TRACKERS[options.to](run, options.project, name, memory.state["run"], memory.is_new)
    except ModuleNotFoundError as error:
        raise Refusal(f"the package {error.name} is not installed: pip install {error.name}") from error
    memory.save(memory.state["step"])
    try:
        while True:
            state = run.status()["state"]  # before the rows are read, so that its last are among them
            if send_what_is_there(run, tracker, memory, options.live):
                print(f"{run.folder}: sent up to step {memory.state['step']}", file=sys.stderr)
            if not options.follow or state != "running":
                break
            time.sleep(options.every)
    finally:
        tracker.close()


def parsed_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path, help="folder of a run: its run.dir")
    parser.add_argument("--to", required=True, choices=TRACKERS, help="tracker")
    parser.add_argument("--project", default="zebra", help="what it sorts runs by (zebra)")
    parser.add_argument("--name", help="of the run there (run.name)")
    parser.add_argument("--follow", action="store_true", help="until the run ends")
    parser.add_argument("--every", type=float, default=10.0, metavar="SECONDS", help="between two looks with --follow (10)")
    parser.add_argument("--live", action="store_true", help="also steps that an interrupted run would do again")
    return parser.parse_args()


def main():
    try:
        track(parsed_options())
    except Refusal as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
