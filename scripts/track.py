#!/usr/bin/env python3
"""Sends the figures of a run to an experiment tracker: Weights & Biases, MLflow or Trackio.

    python scripts/track.py runs/tiny --to wandb [--project NAME] [--name NAME] [--follow]

Reads metrics.jsonl, status.json and config.yaml of the run folder and changes nothing but RUN/tracking, which remembers what was
sent: started again it goes on, with the same run of the tracker. Each step is sent once. Steps beyond the newest checkpoint wait
for the next one, since a run that is interrupted does them again; --live sends them at once. Ctrl-C ends it after the step that
it is at. The package of the tracker must be installed; where it keeps its data and whether it uses the network is its own setting
(WANDB_MODE=offline, MLFLOW_TRACKING_URI, TRACKIO_DIR).
"""

import argparse
import fcntl
import importlib
import itertools
import json
import math
import os
import pathlib
import posixpath
import re
import signal
import sys
import threading
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
        path = self.folder / "status.json"
        return json.loads(path.read_text()) if path.exists() else {"state": "running", "checkpoint": None}  # it begins just now

    def steps(self):
        """(step, seconds of training until then, its figures) in order; the row of a validation belongs to that of its step."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        rows = [row for line in lines if (row := parsed(line))]
        steps, seconds = [], 0.0
        for step, group in itertools.groupby(rows, lambda row: row["step"]):
            values = dict(figure for row in group for figure in figures({k: v for k, v in row.items() if k != "step"}))
            seconds = values.get("seconds", seconds)
            steps.append((step, seconds, values))
        return steps

    def last_settled_step(self):
        checkpoint = self.status()["checkpoint"]
        found = re.search(r"step-(\d+)$", checkpoint or "")
        return int(found[1]) if found else 0


def parsed(line):
    """None where it is no row: the run moves such lines aside when it goes on."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None


class WandB:
    steps_at_once = 1

    def __init__(self, run, memory):
        known = memory.state
        self.session = importlib.import_module("wandb").init(project=known["project"], name=known["name"], id=known["run"],
                                                             resume="allow", config=run.config, dir=str(run.folder / "tracking"))

    def send(self, steps):
        for step, _, values in steps:
            self.session.log(values, step=step, commit=True)  # with a step given, else only when the next one comes

    def close(self, failed):
        self.session.finish(exit_code=int(failed))


class MLflow:
    MOST_AT_ONCE = 1000  # figures of a request
    steps_at_once = 50

    def __init__(self, run, memory):
        # Times follow from the run, not from when they are sent: what is sent again is the same figure, and kept once.
        self.began = memory.state["began"]
        project, name, identity = (memory.state[key] for key in ("project", "name", "run"))
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
        memory.state["step"] = 0  # this server has none of it
        self.run = self.client.create_run(number, run_name=name, tags={"zebra_run": identity}).info.run_id
        settings = [self.entities.Param(key, str(value)[:6000]) for key, value in flat(run.config)]
        for begin in range(0, len(settings), 100):
            self.client.log_batch(self.run, params=settings[begin:begin + 100])

    @staticmethod
    def allowed(name):
        """Its names have no brackets and the like, and no empty part, which the path of a dataset may have."""
        return posixpath.normpath(re.sub(r"[^\w\-. /]", "_", name))

    def send(self, steps):
        rows = []
        for step, seconds, values in steps:
            when = int((self.began + seconds) * 1000)
            rows += [self.entities.Metric(self.allowed(name), value, when, step) for name, value in values.items()]
        for begin in range(0, len(rows), self.MOST_AT_ONCE):
            self.client.log_batch(self.run, metrics=rows[begin:begin + self.MOST_AT_ONCE])

    def close(self, failed):
        self.client.set_terminated(self.run, status="FAILED" if failed else "FINISHED")


class Trackio:
    steps_at_once = 1

    def __init__(self, run, memory):
        known = memory.state
        # It knows runs by their names alone, and none that it has no figure of.
        self.session = importlib.import_module("trackio").init(project=known["project"], name=f"{known['name']}-{known['run']}",
                                                               config=dict(flat(run.config)), resume="allow")

    def send(self, steps):
        for step, _, values in steps:
            self.session.log(values, step=step)

    def close(self, failed):
        self.session.finish()


TRACKERS = {"wandb": WandB, "mlflow": MLflow, "trackio": Trackio}


class Memory:
    """RUN/tracking/TRACKER.json: which run of the tracker this is, when its training began if it never paused, and the last step
    that the tracker has."""

    def __init__(self, run, tracker, project, name):
        self.path = run.folder / "tracking" / f"{tracker}.json"
        self.path.parent.mkdir(exist_ok=True)
        self.lock = open(self.path.with_suffix(".lock"), "a")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal(f"{run.folder}: another process sends this run to {tracker}; stop it, or leave it to that") from None
        if self.path.exists():
            self.state = json.loads(self.path.read_text())
        else:
            seconds = max((seconds for _, seconds, _ in run.steps()), default=0.0)
            self.state = {"run": uuid.uuid4().hex[:8], "project": project, "name": name, "began": time.time() - seconds, "step": 0}

    def save(self, step):
        self.state["step"] = step
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.state) + "\n")
        os.replace(partial, self.path)


def send_what_is_there(run, tracker, memory, state, live, stopping):
    """Whether there was something."""
    sent = memory.state["step"]
    last = math.inf if live else run.last_settled_step()
    steps = [step for step in run.steps() if sent < step[0] <= last] if last > sent else []
    if live and state == "running":
        steps = steps[:-1]  # the validation of the last one may be under way
    for begin in range(0, len(steps), tracker.steps_at_once):
        if stopping.is_set():
            break
        group = steps[begin:begin + tracker.steps_at_once]
        tracker.send(group)
        memory.save(group[-1][0])
    return memory.state["step"] > sent


def stop_signals():
    """An event that the first signal to stop sets; the second ends the process."""
    stopping = threading.Event()

    def stop(number, _):
        stopping.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return stopping


def track(options):
    run = Run(options.run)
    try:
        importlib.import_module(options.to)
    except ModuleNotFoundError as error:
        raise Refusal(f"the package {error.name} is not installed: pip install {error.name}") from error
    memory = Memory(run, options.to, options.project, options.name or run.config["run"]["name"])
    tracker = TRACKERS[options.to](run, memory)
    memory.save(memory.state["step"])
    stopping = stop_signals()  # after the packages, which have their own ways
    state = "running"
    try:
        while not stopping.is_set():
            state = run.status()["state"]  # before the rows are read, so that its last are among them
            if send_what_is_there(run, tracker, memory, state, options.live, stopping):
                print(f"{run.folder}: sent up to step {memory.state['step']}", file=sys.stderr)
            if not options.follow or state != "running":
                break
            stopping.wait(options.every)
    finally:
        tracker.close(state == "failed")


def parsed_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path, help="folder of a run: its run.dir")
    parser.add_argument("--to", required=True, choices=TRACKERS, help="tracker")
    parser.add_argument("--project", default="zebra", help="what it sorts runs by (zebra); when a run is first sent")
    parser.add_argument("--name", help="of the run there (run.name); when it is first sent")
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
