"""What the program may write over and remove: its own files, by their exact names; and file systems, paths and terminals that
are not as usual."""

import json
import os
import signal
import subprocess
import time

import pytest
from conftest import COMMAND_SECONDS, ZEBRA, status_of, zebra

STOPPED = 75


def contents(folder):
    """Every file and link below a folder."""
    return {str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
            for path in folder.rglob("*") if path.is_symlink() or path.is_file()}


def refused(*arguments, **options):
    output, errors = zebra(*arguments, status=2, **options)
    assert "Traceback" not in errors
    return errors


@pytest.fixture
def project(tmp_path, data):
    """A folder that is not ours, with names that are near ours."""
    folder = tmp_path / "project"
    (folder / "checkpoints/step--5").mkdir(parents=True)
    (folder / "checkpoints/step--5/mine.bin").write_text("mine")
    for name in ("thesis.partial-draft", "status.json", "notes.txt"):
        (folder / name).write_text("mine")
    text = (tmp_path / "run.yaml").read_text() if (tmp_path / "run.yaml").exists() else ""
    (folder / "config.yaml").write_text(text)
    return folder


def test_a_folder_that_is_not_ours_is_refused_untouched(run_file, project):
    (project / "config.yaml").write_text(run_file.read_text())
    before = contents(project)
    for more in ([], ["--dry-run"]):
        errors = refused("train", "config.yaml", "--set", "run.dir=.", *more, cwd=project)
        assert "run.dir is not empty, and no run folder: it holds checkpoints, config.yaml, notes.txt and 2 more" in errors
        assert contents(project) == before


def test_a_refused_start_leaves_what_it_found(run_file, tmp_path):
    (tmp_path / "disk/run").mkdir(parents=True)
    (tmp_path / "own").mkdir()
    (tmp_path / "own").chmod(0o2770)
    (tmp_path / "link").symlink_to("disk/run")
    for name in ("own", "link", "new/folders"):
        refused("train", run_file, "--set", f"run.dir={tmp_path / name}", "--resume", tmp_path / "nothing")
    assert (tmp_path / "own").stat().st_mode & 0o7777 == 0o2770 and not any((tmp_path / "own").iterdir())
    assert (tmp_path / "link").is_symlink() and not any((tmp_path / "disk/run").iterdir())
    assert not (tmp_path / "new").exists()
    zebra("train", run_file, "--set", f"run.dir={tmp_path / 'link'}", "--stop-after", 1)
    assert (tmp_path / "disk/run/checkpoints/step-00000001/manifest.json").is_file()


def test_a_run_goes_on_beside_what_others_put_into_its_folder(run_file, tmp_path):
    run = tmp_path / "run"
    zebra("train", run_file, "--stop-after", 1)
    theirs = {"checkpoints/step--5/mine": "", "checkpoints/step-5.partial-x/mine": "", "thesis.partial-7": "",
              "samples/mine.partial-7": ""}
    for name in theirs:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("mine")
    (run / "status.json.partial-77").write_text("ours")
    zebra("train", run_file, "--stop-after", 2)
    assert all((run / name).read_text() == "mine" for name in theirs)
    assert not (run / "status.json.partial-77").exists()


@pytest.mark.parametrize("name", ["lock", "train.log"])
def test_a_lock_or_a_log_that_is_a_link_is_not_followed(run_file, tmp_path, name):
    run = tmp_path / "run"
    zebra("train", run_file, "--stop-after", 1)
    (run / name).unlink()
    (tmp_path / "theirs").write_text("kept")
    (run / name).symlink_to(tmp_path / "theirs")
    result = subprocess.run([ZEBRA, "train", run_file, "--stop-after", "2"], capture_output=True, text=True,
                            timeout=COMMAND_SECONDS)
    assert result.returncode in (1, 2) and f"{run}/{name}" in result.stderr and "link" in result.stderr
    assert (tmp_path / "theirs").read_text() == "kept"


def test_results_replace_results_alone(trained, tmp_path):
    own, theirs = tmp_path / "eval.json", tmp_path / "settings.json"
    evaluate = ["eval", trained, "--max-tokens", 128, "--json"]
    zebra(*evaluate, own)
    zebra(*evaluate, own)
    theirs.write_text('{"mine": true}\n')
    assert f"{theirs}: exists and is none of this command's results" in refused(*evaluate, theirs)
    assert theirs.read_text() == '{"mine": true}\n'
    (tmp_path / "link.json").symlink_to(own)
    assert "is a link" in refused(*evaluate, tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert "is a folder" in refused(*evaluate, tmp_path)
    # /dev/stdout is a link too; where it is a file, the results go on behind what is there.
    with open(tmp_path / "all.txt", "w+") as file:
        subprocess.run([ZEBRA, *map(str, evaluate), "/dev/stdout"], stdout=file, check=True, timeout=COMMAND_SECONDS)
        file.seek(0)
        text = file.read()
    assert "perplexity" in json.loads(text[text.index("{"):]) and text.index("{") > 0
    assert os.path.islink("/dev/stdout")


def test_a_sweep_takes_no_results_of_others_for_its_own(run_file, tmp_path):
    dir = tmp_path / "study"
    (dir / "report").mkdir(parents=True)
    (dir / "report/index.html").write_text("mine")
    sweep, script = tmp_path / "sweep.yaml", tmp_path / "script.sh"
    sweep.write_text(f"name: study\ndir: {dir}\nbase: {run_file}\naxes: {{run.seed: [1, 2]}}\n")
    assert "no sweep has begun in dir" in refused("ablate", sweep)
    assert contents(dir) == {"report/index.html": b"mine"}
    script.write_text("echo mine\n")
    assert "is not written over" in refused("ablate", sweep, "--emit-slurm", script)
    assert script.read_text() == "echo mine\n"


def test_a_path_that_is_no_utf_8_is_refused_at_the_start(run_file, tmp_path):
    bad = os.fsencode(tmp_path) + b"/caf\xe9"
    for key in (b"run.dir=", b"data.tokenizer="):
        result = subprocess.run([ZEBRA, "train", run_file, "--set", key + bad], capture_output=True, timeout=COMMAND_SECONDS)
        assert result.returncode == 2 and b"is not UTF-8" in result.stderr and b"caf\\ufffd" in result.stderr
    assert not os.path.exists(bad)
    where = tmp_path / "mein Lauf \"ä\" @2"
    zebra("train", run_file, "--set", f"run.dir={where}", "--stop-after", 1)
    assert status_of(where)["step"] == 1


def shim(folder, source):
    """A library to be loaded first, which answers for the file system."""
    (folder / "shim.c").write_text(source)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "shim.so", folder / "shim.c", "-ldl"], check=True)
    return {**os.environ, "LD_PRELOAD": str(folder / "shim.so")}


@pytest.mark.parametrize("error", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_said_and_does_not_matter(run_file, tmp_path, error):
    environment = shim(tmp_path, "#include <errno.h>\n#include <sys/file.h>\n"
                                 f"int flock(int d, int o) {{ (void)d, (void)o; errno = {error}; return -1; }}\n")
    result = subprocess.run([ZEBRA, "train", run_file, "--stop-after", "1"], capture_output=True, text=True, env=environment,
                            timeout=COMMAND_SECONDS)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("this file system has none") == 1 and str(tmp_path / "run/lock") in result.stderr


SYNC = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/stat.h>
int fsync(int descriptor) {
  struct stat status;
  if (fstat(descriptor, &status) == 0 && %s(status.st_mode)) { errno = %s; return -1; }
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(descriptor);
}
"""


@pytest.mark.parametrize("kind, error, fails", [("S_ISDIR", "EINVAL", False), ("S_ISDIR", "ENOTSUP", False),
                                                ("S_ISDIR", "ENOSYS", False), ("S_ISDIR", "EIO", True),
                                                ("S_ISREG", "EINVAL", True)])
def test_folders_that_cannot_be_flushed_are_no_error_files_are(run_file, tmp_path, kind, error, fails):
    result = subprocess.run([ZEBRA, "train", run_file, "--stop-after", "1"], capture_output=True, text=True,
                            env=shim(tmp_path, SYNC % (kind, error)), timeout=COMMAND_SECONDS)
    assert result.returncode == (1 if fails else 0), result.stderr
    assert (tmp_path / "run/checkpoints/step-00000001/manifest.json").exists() != fails


def started(command, log, wanted, ignored=False):
    """A process that has written `wanted` into its log; with a hang-up ignored, as nohup does it, or not."""
    handler = signal.SIG_IGN if ignored else signal.SIG_DFL
    with open(log, "w") as file:
        process = subprocess.Popen([*map(str, command)], stdout=file, stderr=file,
                                   preexec_fn=lambda: signal.signal(signal.SIGHUP, handler))
    began = time.monotonic()
    while wanted not in log.read_text():
        assert process.poll() is None and time.monotonic() - began < COMMAND_SECONDS, log.read_text()
        time.sleep(0.01)
    return process


def test_a_hang_up_saves_and_stops_unless_it_is_ignored(run_file, tmp_path):
    log, command = tmp_path / "log", [ZEBRA, "train", run_file, "--set", "train.max_steps=100000"]
    process = started(command, log, "step 3/")
    process.send_signal(signal.SIGHUP)
    assert process.wait(COMMAND_SECONDS) == STOPPED
    status = status_of(tmp_path / "run")
    assert status["state"] == "stopped" and status["reason"] == "stopped by SIGHUP"
    process = started([*command, "--stop-after", status["step"] + 5], log, "going on from", ignored=True)
    process.send_signal(signal.SIGHUP)
    assert process.wait(COMMAND_SECONDS) == 0


def test_a_hang_up_stops_a_sweep(run_file, tmp_path):
    sweep, log = tmp_path / "sweep.yaml", tmp_path / "log"
    sweep.write_text(f"name: study\ndir: {tmp_path / 'study'}\nbase: {run_file}\naxes: {{run.seed: [1, 2]}}\n")
    run_file.write_text(run_file.read_text().replace("max_steps: 50", "max_steps: 100000"))
    process = started([ZEBRA, "ablate", sweep], log, "")
    began = time.monotonic()
    metrics = tmp_path / "study/arms/base_seed-1/metrics.jsonl"
    while not metrics.exists() or not metrics.stat().st_size:
        assert process.poll() is None and time.monotonic() - began < COMMAND_SECONDS, log.read_text()
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    assert process.wait(COMMAND_SECONDS) == STOPPED
    assert status_of(metrics.parent)["reason"] == "stopped by SIGHUP"
