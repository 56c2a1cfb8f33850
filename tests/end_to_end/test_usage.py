"""What the command says to people: its help, its hints, how to go on, and what it never lets through to their terminals."""

import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import time

import pytest
from conftest import COMMAND_SECONDS, ROOT, RUN_FILE, ZEBRA, status_of, zebra

SUBCOMMANDS = [["train"], ["config"], ["plan"], ["eval"], ["recall"], ["generate"], ["ablate"], ["bench"],
               ["data", "tokenizer"], ["data", "pack"], ["data", "probes"], ["data", "stat"], ["data", "merge"],
               ["checkpoint", "list"], ["checkpoint", "verify"], ["checkpoint", "show"], ["checkpoint", "prune"],
               ["checkpoint", "fork"], ["import"], ["export"]]


def examples(words):
    """The command lines of a help text."""
    text, _ = zebra(*words, "--help")
    _, found, behind = text.partition("Example")
    if not found:
        return []
    behind = behind.split(":", 1)[1].split("\nUsage", 1)[0].split("\nOptions", 1)[0].replace("\\\n", " ")
    lines = [line.strip() for line in behind.splitlines()]
    return [line for line in lines if re.match(r"([A-Z_]+=\S+ )?zebra ", line)]


@pytest.fixture
def workplace(tmp_path, data, trained, monkeypatch):
    """A folder with everything that the help texts name."""
    folder = tmp_path / "work"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/zebra").symlink_to(ZEBRA)
    (folder / "configs").symlink_to(ROOT / "configs")
    shutil.copytree(trained, folder / "runs/tiny")
    shutil.copytree(data / "corpus/train", folder / "books")
    rows = [json.dumps({"text": f"row {i} of a small file"}) for i in range(300)]
    (folder / "more.jsonl.zst").write_text("\n".join(rows) + "\n")
    (folder / "prompts.jsonl").write_text('{"prompt": "def "}\n{"prompt": "import os", "seed": 2}\n')
    (folder / "questions.jsonl").write_text('{"prompt": "x: 12\\ny: 34\\nWhat is x?\\n", "completion": "x: 12"}\n')
    for part in ["a", "b", "all"]:
        shutil.copytree(data / "train", folder / "data" / part)
    (folder / "notes.txt").write_text("import os\n\nprint(os.sep)\n")
    (folder / "run.yaml").write_text(RUN_FILE.format(dir="runs/new", data=data))
    (folder / "sweep.yaml").write_text("name: s\ndir: runs/sweep\nbase: run.yaml\naxes: {optimizer.lr: [1e-3, 2e-3]}\n")
    zebra("export", folder / "runs/tiny", "--output", folder / "Mistral-7B-v0.1")
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    return folder


def test_every_example_of_a_help_text_runs_as_it_stands(workplace):
    ran = 0
    for words in SUBCOMMANDS:
        for example in examples(words):
            result = subprocess.run(["bash", "-c", example], cwd=workplace, capture_output=True, text=True,
                                    timeout=COMMAND_SECONDS)
            assert result.returncode == 0, f"{example}\n{result.stdout}\n{result.stderr}"
            ran += 1
        assert examples(words) or words == ["config"]
    assert ran >= 20


def test_a_run_that_was_interrupted_names_the_command_that_goes_on(run_file, tmp_path):
    odd = tmp_path / "my run.yaml"
    shutil.copyfile(run_file, odd)
    arguments = ["train", odd, "--set", "train.max_steps=100000", "--set", "eval.every_steps=0"]
    with subprocess.Popen([ZEBRA, *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        for line in process.stderr:
            if "step 3/" in line:
                break
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait() == 75
    first = said.index("stopping after this step, saving")
    assert "Ctrl-C again: at once, without saving" in said
    assert first < said.index("stopped by SIGINT")
    command = said.splitlines()[-1].split("to go on: ", 1)[1]
    assert shlex.split(command) == ["zebra", *map(str, arguments)]
    step = status_of(tmp_path / "run")["step"]
    result = subprocess.run([ZEBRA, *shlex.split(command)[1:], "--stop-after", str(step + 1)], capture_output=True, text=True)
    assert result.returncode == 0 and status_of(tmp_path / "run")["step"] == step + 1


def forks(error):
    """The two commands that a refusal names."""
    lines = [line.strip() for line in error.splitlines() if line.startswith("  zebra ")]
    assert [shlex.split(line)[1] for line in lines] == ["checkpoint", "train"]
    return lines


@pytest.mark.parametrize("other_folder", [False, True])
def test_changed_settings_are_answered_with_a_fork_to_copy(workplace, run_file, trained, tmp_path, other_folder):
    text = run_file.read_text()
    wanted = ["--set", "optimizer.lr=5e-4", "--set", "train.max_steps=52", "--set", "optimizer.betas=[0.8, 0.9]"]
    zebra("checkpoint", "fork", f"{trained}@50", "--output", tmp_path / "own")
    run_file.write_text(text.replace(str(tmp_path / "run"), str(tmp_path / "own")))
    more = ["--resume", tmp_path / "own", "--set", f"run.dir={tmp_path / 'other'}"] if other_folder else []
    _, error = zebra("train", run_file, *wanted, *more, status=2)
    assert "must not: optimizer.lr: 0.001 -> 5.0e-04" in error
    fork, train = forks(error)
    folder = tmp_path / ("other" if other_folder else "own-2")
    assert str(folder) in fork and str(folder / "config.yaml") in train
    for command in (fork, train):
        result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=workplace)
        assert result.returncode == 0, result.stderr
    assert status_of(folder)["step"] == 52
    resolved = (folder / "config.yaml").read_text()
    assert "lr: 5.0e-04" in resolved and "betas: [0.8, 0.9]" in resolved


def test_another_shape_names_no_command(run_file, tmp_path):
    zebra("train", run_file, "--stop-after", 1)
    _, error = zebra("train", run_file, "--set", "model.qk_norm=true", status=2)
    assert "model.qk_norm" in error and "fork" not in error and "step 1" in error


def test_fewer_steps_than_the_checkpoint_has_are_said(run_file, tmp_path):
    zebra("train", run_file, "--stop-after", 20)
    shorter = ["--set", "train.max_steps=12"]
    output, _ = zebra("train", run_file, *shorter, "--dry-run")
    assert "train.max_steps is 12, but the checkpoint is of step 20" in output
    _, error = zebra("train", run_file, *shorter)
    assert "train.max_steps is 12, but the checkpoint is of step 20" in error and "all steps done" not in error
    assert status_of(tmp_path / "run")["step"] == 20


def test_a_source_that_is_read_many_times_is_shown_and_warned_of(run_file, data, tmp_path):
    zebra("data", "pack", "--input", *sorted((data / "corpus/valid").iterdir())[:1], "--tokenizer", data / "tok.model",
          "--output", tmp_path / "small")
    sources = f"[{{path: {data / 'train'}, weight: 1}}, {{path: {tmp_path / 'small'}, weight: 9}}]"
    mixture = ["--set", f"data.train={sources}", "--set", "train.max_steps=2000"]
    warning = f"{tmp_path / 'small'}: the run reads it "
    plan, warned = zebra("plan", run_file, *mixture)
    assert " times" in plan and str(tmp_path / "small") in plan and warning in warned
    rows = json.loads(zebra("plan", run_file, *mixture, "--json")[0])["data"]
    assert rows[1]["passes"] > 4 > rows[0]["passes"]
    assert rows[1]["share"] == pytest.approx(0.9) and rows[1]["loss_share"] == rows[1]["targets_share"]
    weighted = ["--set", mixture[1].replace("weight: 9", "weight: 9, loss_weight: 0.25")]
    share = json.loads(zebra("plan", run_file, *weighted, "--json")[0])["data"][1]
    expected = rows[1]["targets_share"] / (rows[1]["targets_share"] + 4 * rows[0]["targets_share"])
    assert share["loss_share"] == pytest.approx(expected) and share["targets_share"] == rows[1]["targets_share"]
    assert f"{100 * expected:.1f} %" in zebra("plan", run_file, *weighted)[0]
    dry_run, _ = zebra("train", run_file, *mixture, "--dry-run")
    assert " times" in dry_run and warning in dry_run
    _, error = zebra("train", run_file, *mixture, "--stop-after", 1)
    assert error.count(warning) == 1 and str(data / "train") + ": the run reads" not in error
    assert "the run reads it" not in zebra("plan", run_file)[1]


def with_little_memory(*arguments, gibibytes=4):
    limit = gibibytes << 30
    return subprocess.run([ZEBRA, *map(str, arguments)], capture_output=True, text=True, timeout=COMMAND_SECONDS,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))


def test_a_model_that_does_not_fit_is_one_line(run_file, tmp_path):
    result = with_little_memory("train", run_file, "--set", "model.hidden_size=32768", "--set", "model.intermediate_size=65536",
                                "--set", "model.num_attention_heads=256", "--set", "model.num_key_value_heads=256")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "out of memory" in result.stderr and "while the model is made: its training takes " in result.stderr
    assert "frame #" not in result.stderr and "bad_alloc" not in result.stderr


@pytest.mark.parametrize("arguments", [
    ["recall", "{run}", "--lengths", "1000000000"],
    ["data", "pack", "--input", "{data}/corpus/valid", "--tokenizer", "{data}/tok.model", "--output", "{tmp}/d", "--threads", "1000000"],
    ["data", "probes", "--tokenizer", "{data}/tok.model", "--length", "1000000000000", "--window", "8", "--layers", "2",
     "--sequences", "4", "--output", "{tmp}/p"],
    ["plan", "{data}/../none.yaml", "--ranks", "2147483647"],
])
def test_huge_options_end_with_a_message(trained, data, tmp_path, arguments):
    result = with_little_memory(*(word.format(run=trained, data=data, tmp=tmp_path) for word in arguments))
    assert result.returncode in (1, 2), result.stdout + result.stderr
    said = [line for line in result.stderr.splitlines() if "[====" not in line]
    assert 0 < len(said) <= 2 and "terminate called" not in result.stderr and "frame #" not in result.stderr


def test_memory_of_a_text_grows_as_it_is_needed(trained):
    with subprocess.Popen([ZEBRA, "generate", trained, "--prompt", "def", "--max-new-tokens", "1000000000000"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        # More than the prompt would not come where memory for all were taken first.
        assert len(process.stdout.read(20)) == 20
        process.kill()


def test_a_prompt_longer_than_the_model_is_declared_for_is_said(trained):
    _, error = zebra("generate", trained, "--prompt", "def f():\n" * 100, "--max-new-tokens", 1)
    assert re.search(r"the prompt has \d+ tokens, more than the 128", error)
    assert not zebra("generate", trained, "--prompt", "def", "--max-new-tokens", 1)[1]


def test_nothing_of_others_steers_the_terminal(run_file, tmp_path):
    escape = "\x1b[2J"
    yaml = tmp_path / f"a{escape}b.yaml"
    yaml.write_text(run_file.read_text().replace("name: tiny", 'name: "a\\eb", "bad\\ekey": 1'))
    for arguments in (["train", yaml], ["train", f"none{escape}"], ["eval", f"none{escape}"], ["checkpoint", "list", f"x{escape}"],
                      [f"tr{escape}"], ["train", f"--x{escape}"], ["plan", run_file, "--gpu", f"h{escape}"],
                      ["config", run_file, "--set", f"run.{escape}=3"], ["data", "pack", "--input", "i",
                       "--tokenizer", f"t{escape}", "--output", "o"]):
        output, error = zebra(*arguments, status=2)
        assert "\x1b" not in output + error and "\\x1b" in error, (arguments, error)


def test_run_files_that_take_all_memory_are_refused(run_file, tmp_path):
    levels = [f"x-{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else '1'] * 9)}]" for i in range(8)]
    bomb = tmp_path / "bomb.yaml"
    bomb.write_text("\n".join(levels) + "\n" + run_file.read_text())
    many = tmp_path / "many.yaml"
    many.write_text(run_file.read_text() + "".join(f"x-{i}: {{a: 1}}\n" for i in range(40000)))
    began = time.monotonic()
    for path in (bomb, "/dev/zero"):
        result = with_little_memory("config", path)
        assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr[:300]
    assert with_little_memory("config", many).returncode == 0
    assert time.monotonic() - began < 60


def test_a_dataset_that_is_not_there_is_missing(run_file, tmp_path):
    _, error = zebra("train", run_file, "--set", f"data.train=[{{path: {tmp_path}/none}}]", status=2)
    assert f"{tmp_path}/none: does not exist" in error and "is not a token dataset" not in error
    (tmp_path / "empty").mkdir()
    _, error = zebra("train", run_file, "--set", f"data.train=[{{path: {tmp_path}/empty}}]", status=2)
    assert "is not a token dataset" in error


def test_home_folders_in_run_files_and_options(run_file, data, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    zebra("train", "~/run.yaml", "--set", "run.dir=~/there", "--stop-after", 1)
    assert status_of(tmp_path / "there")["step"] == 1
    zebra("eval", "~/there", "--max-tokens", 256, "--json=~/e.json")
    assert (tmp_path / "e.json").exists()


def test_stages_of_the_data_are_shown_with_what_each_reads(run_file, data):
    stages = f"[{{until: 0.8, train: [{{path: {data / 'train'}, weight: 3}}, {{path: {data / 'valid'}, weight: 1}}]}}]"
    staged = ["--set", f"data.stages={stages}", "--set", f"data.train=[{{path: {data / 'valid'}}}]"]
    plan = json.loads(zebra("plan", run_file, *staged, "--json")[0])
    first, second = plan["data_stages"]
    assert (first["first_step"], first["last_step"], second["first_step"], second["last_step"]) == (1, 40, 41, 50)
    assert [source["share"] for source in first["sources"]] == [0.75, 0.25]
    assert [source["path"] for source in second["sources"]] == [str(data / "valid")]
    assert plan["data"][1]["passes"] == pytest.approx(first["sources"][1]["passes"] + second["sources"][0]["passes"])
    text = zebra("train", run_file, *staged, "--dry-run")[0]
    assert "Data by stage" in text and "1 to 40" in text and "41 to 50" in text
    assert "Data by stage" not in zebra("train", run_file, "--dry-run")[0]
    assert json.loads(zebra("plan", run_file, "--json")[0])["data_stages"] == []
    _, error = zebra("train", run_file, "--set", "data.stages=[{until: 50, train: [{path: a}]}]", status=2)
    assert "data.stages[0].until: 50 must be below train.max_steps (50)" in error
