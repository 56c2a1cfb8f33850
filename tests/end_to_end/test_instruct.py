"""Questions with exact answers (scripts/synthetic_qa.py), `zebra eval --answers`, and the study of instruction tuning."""

import ast
import json
import pathlib
import re
import subprocess
import sys
import sysconfig

import pytest
from conftest import COMMAND_SECONDS, ROOT, ZEBRA, zebra

sys.path.insert(0, str(ROOT / "scripts"))
import synthetic_qa  # noqa: E402

BYTES = 900


def questions(*options):
    result = subprocess.run([sys.executable, ROOT / "scripts/synthetic_qa.py", *map(str, options)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def rows():
    return questions("--examples", 400, "--bytes", BYTES)


def parts_of(row):
    """Context, and what is asked for."""
    context, question, mark = re.fullmatch(r"(.*)\nQuestion: (.*)\nAnswer:(\n)", row["prompt"], re.DOTALL).groups()
    assert mark
    return context, question


def lines_that(context, beginning):
    return [line.strip() for line in context.split("\n") if re.match(rf" *{re.escape(beginning)}(?!\w)", line)]


def arguments_in(module):
    """The arguments of each function and method of a module of the standard library, as its source says by Python's own parser."""
    root = pathlib.Path(sysconfig.get_paths()["stdlib"])
    path = root / (module.replace(".", "/") + ".py")
    if not path.exists():
        path = root / module.replace(".", "/") / "__init__.py"
    return {ast.dump(node.args) for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def test_an_answer_is_what_the_context_says_once(rows):
    assert {row["kind"] for row in rows} == set(synthetic_qa.KINDS)
    for row in rows:
        context, question = parts_of(row)
        answer, kind = row["completion"], row["kind"]
        needed = context.encode()[row["evidence"]:].decode()
        if kind == "arguments":
            name, tail = re.fullmatch(r"(\w+)(\(.*\))", answer).groups()
            assert question == f"Which arguments does {name} take?"
            [line] = lines_that(context, f"def {name}") + lines_that(context, f"async def {name}")
            assert f"def {answer}" in line
            module = re.match(r"# module (\S+)\n", needed)[1]
            [function] = ast.parse(f"def f{tail}: pass").body
            assert ast.dump(function.args) in arguments_in(module)
        elif kind == "module":
            name = re.fullmatch(r"Which module defines (\w+)\?", question)[1]
            told = re.findall(rf"^# module (\S+)$|^ *(?:async )?(?:def )?({name})\b", context, re.MULTILINE)
            at = [defined for _, defined in told].index(name)
            assert [module for module, _ in told[:at] if module][-1] == answer and needed.startswith(f"# module {answer}\n")
        elif kind == "setting":
            name = re.fullmatch(r"set (\w+) \w+", answer)[1]
            assert question == f"What is the value of {name}?"
            assert lines_that(context, f"set {name}") == [answer] and answer in needed.split("\n")
        elif kind in ("constant", "key"):
            name = re.match(r"\w+", answer)[0]
            assert question == f"What is the value of {name}?"
            assert lines_that(context, name) == [answer] and answer in needed.split("\n")
        else:
            link, name, tail = re.fullmatch(r"(\w+)(?: =|: see) (\w+)((?: =|:) .*)", answer).groups()
            assert question == f"What is the value of {link}?"
            assert lines_that(context, name) == [name + tail] and lines_that(context, link) == [answer.removesuffix(tail)]
            assert needed.count(name + tail) == 1 and needed.count(answer.removesuffix(tail) + "\n") == 1


def test_distances_and_lengths_are_those_asked_for(rows):
    lengths = [len(row["prompt"].encode()) for row in rows]
    assert max(lengths) <= BYTES
    short = sum(length <= BYTES // 4 + 20 for length in lengths) / len(lengths)
    assert 0.1 < short < 0.25
    distances = [length - row["evidence"] for length, row in zip(lengths, rows) if length > BYTES // 2]
    octaves = [sum(low <= distance < 2 * low for distance in distances) / len(distances) for low in (225, 450)]
    assert all(share > 0.15 for share in octaves)
    near = questions("--examples", 60, "--bytes", BYTES, "--distance", "400,500", "--kinds", "key", "--short", 0)
    assert all(380 < len(row["prompt"]) - row["evidence"] <= 500 for row in near)


def test_what_never_reads_a_name_is_seldom_right(rows):
    for kind in synthetic_qa.KINDS:
        of_kind = [row for row in rows if row["kind"] == kind]
        for strategy in ("newest", "oldest", "commonest"):
            hits = sum(row["guesses"].get(strategy) == row["completion"] for row in of_kind)
            assert hits / len(of_kind) < 0.5, (kind, strategy)


def test_the_same_options_give_the_same_and_parts_share_no_module(rows):
    assert questions("--examples", 5, "--bytes", BYTES) == rows[:5]
    assert questions("--examples", 5, "--bytes", BYTES, "--seed", 2) != rows[:5]
    modules = {part: {module.name for module in synthetic_qa.modules_of(part)} for part in ("train", "valid")}
    assert len(modules["train"]) > 300 and len(modules["valid"]) > 15
    assert not modules["train"] & modules["valid"]


def test_conversations_ask_about_one_context():
    conversations = questions("--examples", 30, "--bytes", BYTES, "--turns", 3, "--kinds", "key,constant,arguments")
    for row in conversations:
        turns = row["messages"]
        assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
        context = turns[0]["content"]
        for turn in turns[1::2]:
            assert turn["content"] in context
        assert sum(len(turn["content"]) for turn in turns) <= BYTES
    lengths = [len(row["messages"]) for row in conversations]
    assert max(lengths) == 6 and lengths.count(6) > 15


def test_a_turn_is_token_by_token_a_prompt_and_its_completion(data, tmp_path):
    pairs = questions("--examples", 20, "--bytes", BYTES)
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps({"messages": [
        {"role": "user", "content": row["prompt"].removesuffix("\nAnswer:\n")},
        {"role": "assistant", "content": row["completion"]}]}) + "\n" for row in pairs))
    zebra("data", "pack", "--input", tmp_path / "pairs.jsonl", "--tokenizer", data / "tok.model", "--output", tmp_path / "a")
    zebra("data", "chat", "--input", tmp_path / "chats.jsonl", "--tokenizer", data / "tok.model", "--template",
          ROOT / "configs/instruct/questions.yaml", "--output", tmp_path / "b")
    for name in ("tokens.bin", "documents.bin", "loss_mask.bin"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_documents_repeat_words_that_settings_are_made_of():
    def documents(*options):
        result = subprocess.run([sys.executable, ROOT / "scripts/synthetic_repeats.py", *map(str, options)], capture_output=True,
                                text=True)
        return result.returncode, result.stderr, [json.loads(line)["text"].split() for line in result.stdout.splitlines()]

    status, _, made = documents("--examples", 40, "--words", 60)
    assert status == 0 and len(made) == 40 and made == documents("--examples", 40, "--words", 60)[2]
    source = synthetic_qa.Source("train")
    assert len(source.settings) == synthetic_qa.SETTINGS and len(source.values) == synthetic_qa.VALUES
    assert set(sum(made, [])) <= {*source.settings, *source.values} and not set(source.settings) & set(source.values)
    lengths = set()
    for words in made:
        length = next(length for length in range(1, 60) if all(a == b for a, b in zip(words, words[length:])))
        assert len(words) == 60 and 8 <= length <= 30
        lengths.add(length)
    assert len(lengths) > 10
    for options, named in {("--examples", 1, "--words", 15): "--words", ("--examples", 0, "--words", 60): "--examples"}.items():
        status, error, _ = documents(*options)
        assert status == 2 and named in error


def test_bad_options_end_with_one_message():
    for options, named in {("--kinds", "key,nonsense"): "nonsense", ("--bytes", 50): "--bytes", ("--short", 2): "--short",
                           ("--distance", "9,3"): "--distance"}.items():
        result = subprocess.run([sys.executable, ROOT / "scripts/synthetic_qa.py", "--examples", "1", "--bytes", "900",
                                 *map(str, options)], capture_output=True, text=True)
        assert result.returncode == 2 and named in result.stderr and "Traceback" not in result.stderr


def test_answers_are_judged_by_distance(trained, tmp_path):
    asked = questions("--examples", 12, "--bytes", 300, "--short", 0, "--kinds", "key,constant")
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    output, _ = zebra("eval", trained, "--answers", tmp_path / "asked.jsonl", "--json", tmp_path / "answers.json")
    result = json.loads((tmp_path / "answers.json").read_text())
    assert result["questions"] == len(result["answers"]) == 12
    assert sum(row["questions"] for row in result["by_distance"]) == 12
    for row, answer in zip(asked, result["answers"]):
        assert answer["exact"] == (answer["text"] == row["completion"]) and answer["kind"] == row["kind"]
        assert answer["distance"] <= len(row["prompt"]) - row["evidence"]
    assert "distance" in output and "constant" in output


def test_what_holds_no_questions_is_refused(trained, data, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    _, error = zebra("eval", trained, "--answers", tmp_path / "a.jsonl", status=2)
    assert "a.jsonl, line 1: " in error and '"completion"' in error
    _, error = zebra("eval", trained, "--answers", tmp_path / "gone", status=2)
    assert "gone" in error
    _, error = zebra("eval", trained, "--answers", tmp_path / "a.jsonl", "--lengths", 64, status=2)
    assert "--lengths" in error


def test_the_shipped_llama_tuning_keeps_the_adapted_layout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    adapted = tmp_path / "runs/adapt/llama-2-7b-16k"
    adapted.mkdir(parents=True)
    (adapted / "config.yaml").write_text(
        "model: {hidden_size: 4096, intermediate_size: 11008, num_hidden_layers: 32, num_attention_heads: 32, vocab_size: 32000,\n"
        "        max_position_embeddings: 16384, window_size: 512, attention_pattern: GLLL,\n"
        "        rope_scaling: {type: linear, factor: 4, original_max_position_embeddings: 4096}}\n")
    monkeypatch.setenv("LLAMA", str(tmp_path))
    monkeypatch.setenv("ZEBRA_DATA", str(tmp_path))
    output, _ = zebra("plan", ROOT / "configs/instruct/llama-2-7b-16k.yaml", "--ranks", 8, "--gpu", "h100", "--json")
    plan = json.loads(output)
    assert plan["layers"] == ["global", "local", "local", "local"] * 8 and plan["tokens_per_step"] == 1 << 20
    needed = plan["state_bytes_per_rank"]["total"] + plan["activation_bytes_per_rank"]["total"]
    assert needed < plan["hardware"]["memory_bytes"]


def test_the_study_runs(tmp_path):
    """scripts/instruct_tiny.sh in a copy of the checkout, with trainings of a step; its table names every run."""
    for name in ("scripts", "configs", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "build").mkdir()
    (tmp_path / "build/zebra").symlink_to(ZEBRA)
    script = (ROOT / "scripts/instruct_tiny.sh").read_text()
    for text, short in {"--examples 32000": "--examples 900", "--examples 4000": "--examples 90", "--examples 3000": "--examples 90",
                        "--examples 300 ": "--examples 12 ", "seeds=(1 2 3)": "seeds=(1)"}.items():
        assert text in script
        script = script.replace(text, short)
    # In its place, so that the folder is this one.
    (tmp_path / "scripts").unlink()
    (tmp_path / "scripts").mkdir()
    for path in (ROOT / "scripts").iterdir():
        (tmp_path / "scripts" / path.name).symlink_to(path)
    (tmp_path / "scripts/instruct_tiny.sh").unlink()
    (tmp_path / "scripts/instruct_tiny.sh").write_text(script)
    corpus = tmp_path / "runs/instruct/corpus"
    subprocess.run([sys.executable, ROOT / "scripts/python_corpus.py", corpus, "--max-files", "40"], check=True)
    command = ["bash", "scripts/instruct_tiny.sh", "--set", "train.max_steps=2", "--set", "schedule.warmup_steps=1"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=COMMAND_SECONDS,
                            env={"PATH": "/usr/bin:/bin", "ZEBRA": "build/zebra", "HOME": str(tmp_path)})
    assert result.returncode == 0, result.stdout + result.stderr
    table = (tmp_path / "runs/instruct/table.md").read_text()
    for name in ("best reader without keys", "pretrained, not adapted", "before: Zebra layers", "after: local layers",
                 "after: Zebra layers less global layers"):
        assert f"| {name} |" in table
