"""Starts `zebra train` on several ranks of this host: by the launchers, or as bare processes that a test can harm."""

import os
import pathlib
import socket
import subprocess

from conftest import COMMAND_SECONDS, ROOT, ZEBRA

LAUNCHERS_VARIABLES = ("SLURM_", "OMPI_", "PMIX_", "RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "TORCHELASTIC_")


def environment(**variables):
    """This process's environment as a user would have it: outside any launcher, two ranks to a core at most."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHERS_VARIABLES)}
    return {**inherited, "OMP_NUM_THREADS": "1", "ZEBRA": str(ZEBRA), **variables}


def settings(values):
    return [argument for value in values for argument in ("--set", value)]


def launch(launcher, ranks, run_file, *values, status=0, arguments=()):
    """Trains with scripts/launch/LAUNCHER.sh to the end; returns all that was printed."""
    command = ["bash", ROOT / f"scripts/launch/{launcher}.sh", str(ranks), run_file, *arguments, *settings(values)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(),
                            timeout=COMMAND_SECONDS)
    assert result.returncode == status, f"status {result.returncode}\n{result.stdout}"
    return result.stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class BareRanks:
    """One process for each rank, which nobody looks after. `values[rank]` are settings of that rank alone."""

    def __init__(self, folder: pathlib.Path, ranks, run_file, *common, values=None, arguments=()):
        port = str(free_port())
        self.logs = [folder / f"rank-{rank}.log" for rank in range(ranks)]
        self.processes = []
        for rank in range(ranks):
            own = (values or {}).get(rank, [])
            with open(self.logs[rank], "w") as log:
                self.processes.append(subprocess.Popen(
                    [ZEBRA, "train", run_file, *arguments, *settings([*common, *own])], stdout=log, stderr=log,
                    env=environment(RANK=str(rank), WORLD_SIZE=str(ranks), LOCAL_RANK=str(rank),
                                    LOCAL_WORLD_SIZE=str(ranks), MASTER_ADDR="127.0.0.1", MASTER_PORT=port)))

    def wait(self):
        """The exit status of each rank."""
        return [process.wait(COMMAND_SECONDS) for process in self.processes]

    def has_ended(self):
        """Whether any rank has."""
        return any(process.poll() is not None for process in self.processes)

    def output(self):
        return "".join(log.read_text() for log in self.logs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
