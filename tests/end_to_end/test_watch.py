"""`zebra watch` on a terminal, in a pipe, and while a run trains."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import time

from conftest import COMMAND_SECONDS, ZEBRA, zebra


def test_once_prints_a_screen(trained):
    output, _ = zebra("watch", trained, "--once")
    assert "tiny: finished at step 50 of 50: all steps done" in output
    assert "validation" in output and "100.0 %" in output


def test_a_pipe_gets_a_line_for_new_rows_until_the_run_ends(run_file):
    zebra("train", run_file, "--stop-after", 1)
    run = run_file.parent / "run"
    watcher = subprocess.Popen([ZEBRA, "watch", run, "--every", "0.1"], stdout=subprocess.PIPE, text=True)
    output, _ = watcher.communicate(timeout=COMMAND_SECONDS)  # the run is stopped
    assert output.splitlines()[0].startswith("step 1/50  loss ")
    assert output.splitlines()[-1] == "stopped at step 1 of 50: stopped by --stop-after"
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"state": "running"}))
    (run / "lock").write_text("")  # whose process it is nobody knows
    watcher = subprocess.Popen([ZEBRA, "watch", run, "--every", "0.1"], stdout=subprocess.PIPE, text=True)
    assert watcher.stdout.readline().startswith("step 1/50")
    zebra("train", run_file)
    output, _ = watcher.communicate(timeout=COMMAND_SECONDS)
    assert output.splitlines()[-1] == "finished at step 50 of 50: all steps done"
    assert watcher.returncode == 0


def read_until(terminal, text, seconds=60):
    output, end = b"", time.monotonic() + seconds
    while text not in output:
        assert time.monotonic() < end, output
        if select.select([terminal], [], [], 1)[0]:
            output += os.read(terminal, 65536)
    return output


def test_a_terminal_is_redrawn_and_given_back(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"state": "running", "reason": ""}))
    (run / "lock").write_text("")
    ours, theirs = pty.openpty()
    watcher = subprocess.Popen([ZEBRA, "watch", run, "--every", "0.1"], stdout=theirs, env=os.environ | {"LC_ALL": "C.UTF-8"})
    os.close(theirs)
    shown = read_until(ours, b"running, step 50 of 50")
    assert shown.startswith(b"\x1b[?1049h")
    watcher.send_signal(signal.SIGINT)
    rest = read_until(ours, b"\x1b[?1049l")
    assert b"\x1b[?25h" in rest
    assert watcher.wait(COMMAND_SECONDS) == 0


def test_a_failed_run_is_told_by_the_status(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"state": "failed", "reason": "diverged"}))
    output, _ = zebra("watch", run, status=1)
    assert output.splitlines()[-1] == "failed at step 50 of 50: diverged"
    _, error = zebra("watch", tmp_path, status=2)
    assert "is no run folder" in error
