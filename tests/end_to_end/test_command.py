"""The command's own behaviour: help, version, exit statuses, and one clear message for bad input."""

import json
import math
import os
import re
import subprocess

import pytest
from conftest import ROOT, ZEBRA, zebra

SUBCOMMANDS = ["train", "config", "plan", "eval", "generate", "recall", "ablate", "bench", "data", "checkpoint", "import", "export"]


def test_help_everywhere():
    output, _ = zebra("--help")
    for name in SUBCOMMANDS:
        assert name in output
        text, _ = zebra(name, "--help")
        assert "--help" in text
    for name in ("tokenizer", "pack", "probes", "adopt", "merge", "split", "show", "stat"):
        zebra("data", name, "--help")
    for name in ("list", "verify", "show", "prune", "fork"):
        zebra("checkpoint", name, "--help")


def test_version_names_the_build():
    output, _ = zebra("--version")
    tested = re.search(r"^set\(ZEBRA_TORCH_TESTED (.*)\)$", (ROOT / "cmake/LibTorch.cmake").read_text(), re.MULTILINE)[1]
    assert output.startswith("zebra 0.") and re.search(r"LibTorch ([\d.]+)", output)[1] in tested.split()


@pytest.mark.parametrize("arguments", [
    [], ["nonsense"], ["train"], ["train", "/nowhere.yaml"], ["train", "--no-such-option"], ["eval"], ["generate", "x"],
    ["eval", "/nowhere"], ["export", "/nowhere", "--output", "/tmp/never"], ["data"], ["data", "pack"], ["plan"],
])
def test_bad_usage_is_status_2(arguments):
    output, error = zebra(*arguments, status=2)
    assert error.strip()
    assert "terminate called" not in error


def test_all_problems_of_a_run_file_at_once(run_file):
    text = run_file.read_text().replace("hidden_size: 64", "hiden_size: 64").replace("betas: [0.9, 0.95]", "betas: [0.9, 1.5]")
    run_file.write_text(text.replace("sequence_length: 128", "sequence_length: long") + "fsdp: true\n")
    _, error = zebra("train", run_file, status=2)
    assert "run.yaml:2: model.hiden_size" in error and "hidden_size" in error
    assert "optimizer.betas" in error and "data.sequence_length" in error
    assert "parallel.sharding" in error


def test_a_batch_that_does_not_fit_names_sizes_that_do(run_file):
    _, error = zebra("train", run_file, "--set", "train.global_batch_size=10", status=2)
    assert "train.global_batch_size" in error and "8" in error and "12" in error


def test_a_vocabulary_below_the_tokenizers_is_refused(run_file):
    _, error = zebra("train", run_file, "--set", "model.vocab_size=100", status=2)
    assert "model.vocab_size" in error and "512" in error


def test_a_vocabulary_above_the_tokenizers_is_allowed(run_file, tmp_path):
    zebra("train", run_file, "--set", "model.vocab_size=600", "--stop-after", 1)
    assert "vocab_size: 600" in (tmp_path / "run/config.yaml").read_text()


def test_a_dataset_of_another_tokenizer_is_refused(run_file, data, tmp_path):
    zebra("data", "tokenizer", "--input", data / "corpus/valid", "--vocab-size", 400, "--output", tmp_path / "other.model")
    _, error = zebra("train", run_file, "--set", f"data.tokenizer={tmp_path / 'other.model'}", status=2)
    assert str(data / "train") in error and str(data / "valid") in error and "tokenizer" in error
    assert not (tmp_path / "run").exists()


def test_a_truncated_dataset_is_refused(run_file, data, tmp_path):
    import shutil
    shutil.copytree(data / "train", tmp_path / "cut")
    tokens = tmp_path / "cut/tokens.bin"
    tokens.write_bytes(tokens.read_bytes()[:-2])
    _, error = zebra("train", run_file, "--set", f"data.train=[{{path: {tmp_path / 'cut'}}}]", status=2)
    assert str(tmp_path / "cut") in error


def test_cuda_where_there_is_none_says_so(run_file):
    import torch
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    _, error = zebra("train", run_file, "--set", "run.device=cuda", status=2)
    assert "run.device" in error


def test_plan(run_file):
    output, _ = zebra("plan", run_file)
    assert "GLGL" in output and "16 previous + itself = 17 keys (HF sliding_window 17, FlashAttention (16, 0))" in output
    plan = json.loads(zebra("plan", run_file, "--json")[0])
    attention = 4 * 64 * (64 + 2 * 32 + 64)
    assert plan["parameters"]["total"] == 2 * 512 * 64 + attention + 4 * 3 * 64 * 176 + 9 * 64
    assert plan["tokens"] == 50 * 8 * 128


def test_presets_have_their_sizes(run_file, data, tmp_path):
    sizes = {"zebra-125m": (0.10e9, 0.20e9), "zebra-350m": (0.3e9, 0.5e9), "zebra-1.3b": (1.1e9, 1.6e9), "zebra-7b": (6.7e9, 6.8e9)}
    for preset, (low, high) in sizes.items():
        path = tmp_path / f"{preset}.yaml"
        path.write_text(f"run: {{dir: r}}\nmodel: {{preset: {preset}, vocab_size: 32000}}\n"
                        "data: {tokenizer: none.model, train: [{path: t}], sequence_length: 4096}\n"
                        "train: {max_steps: 10, global_batch_size: 8}\n")
        total = json.loads(zebra("plan", path, "--json")[0])["parameters"]["total"]
        assert low < total < high, (preset, total)


def test_eval(trained, tmp_path):
    output, _ = zebra("eval", trained, "--lengths", "32,128", "--json", tmp_path / "eval.json")
    assert "perplexity" in output
    result = json.loads((tmp_path / "eval.json").read_text())
    assert set(result) == {"loss", "perplexity", "bits_per_byte", "tokens", "by_length", "by_position", "by_visible"}
    assert [row["length"] for row in result["by_length"]] == [32, 128]
    assert result["by_length"][1]["loss"] == result["loss"]
    assert [bucket["begin"] for bucket in result["by_position"]] == [0, 1, 2, 4, 8, 16, 32, 64]


def test_eval_of_the_validation_tokens_is_the_validation_loss(trained, tmp_path):
    zebra("eval", trained, "--max-tokens", 2048, "--json", tmp_path / "eval.json")
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    expected = [row["validation_loss"] for row in rows if "validation_loss" in row][-1]
    assert json.loads((tmp_path / "eval.json").read_text())["loss"] == expected


def test_generate_repeats_itself_and_bounds_its_length(trained):
    first, _ = zebra("generate", trained, "--prompt", "def ", "--max-new-tokens", 20, "--seed", 3)
    again, _ = zebra("generate", f"{trained}@50", "--prompt", "def ", "--max-new-tokens", 20, "--seed", 3)
    other, _ = zebra("generate", trained, "--prompt", "def ", "--max-new-tokens", 20, "--seed", 4)
    assert first == again != other
    assert first.startswith("def ")
    zebra("generate", f"{trained}@best", "--prompt", "x", "--temperature", 0, "--max-new-tokens", 3)


def test_a_prompt_comes_from_a_file_or_from_standard_input(trained, tmp_path):
    (tmp_path / "prompt.txt").write_text("def main():\n    return\n")
    sampled = ["--max-new-tokens", 12, "--seed", 3, "--top-k", 50, "--repetition-penalty", 1.2]
    whole, _ = zebra("generate", trained, "--prompt", "def main():\n    return", *sampled)
    assert zebra("generate", trained, "--prompt-file", tmp_path / "prompt.txt", *sampled)[0] == whole
    assert zebra("generate", trained, "--prompt-file", "-", *sampled, stdin="def main():\n    return\n")[0] == whole


def test_prompts_of_a_file_are_answered_as_each_alone(trained, tmp_path):
    prompts = ["def ", "", "import os\n" * 20, "class A:\n    def f(self):", "é = ", "x", "return", "for i in", "if"]
    rows = [{"id": i, "prompt": prompt, "kept": [i, None]} for i, prompt in enumerate(prompts)]
    rows[3]["seed"] = 8
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    sampled = ["--max-new-tokens", 16, "--seed", 5, "--stop", "(", "--stop", "\n\n"]

    def answers(*more, **kwargs):
        output, error = zebra("generate", trained, *sampled, *more, **kwargs)
        assert "9 texts" in error
        return list(map(json.loads, output.splitlines()))

    batched = answers("--prompts", tmp_path / "prompts.jsonl", "--batch-size", 4)
    assert [{key: row[key] for key in rows[i]} for i, row in enumerate(batched)] == rows
    assert answers("--prompts", "-", "--batch-size", 1, stdin=(tmp_path / "prompts.jsonl").read_text()) == batched
    for row in batched:
        assert set(row) - {"id", "prompt", "kept", "seed"} == {"completion", "finish_reason", "prompt_tokens", "completion_tokens"}
        assert "(" not in row["completion"] and "\n\n" not in row["completion"]
        assert (row["finish_reason"] == "length") <= (row["completion_tokens"] == 16)
    for i in (1, 3):
        seed = ["--seed", rows[i].get("seed", 5)]
        alone, _ = zebra("generate", trained, "--prompt", prompts[i], "--max-new-tokens", 16, *seed, *sampled[4:])
        assert alone == prompts[i] + batched[i]["completion"] + "\n"


def test_eval_of_a_text_is_that_of_its_dataset(trained, data, tmp_path):
    text = "".join(path.read_text() for path in sorted((data / "corpus/valid").rglob("*.py"))[:2])
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": text[:2000]}) + "\n" + json.dumps({"text": "x = 1"}) + "\n")
    zebra("data", "pack", "--input", tmp_path / "b.jsonl", "--tokenizer", data / "tok.model", "--output", tmp_path / "packed")

    def evaluated(*arguments):
        zebra("eval", trained, *arguments, "--json", tmp_path / "eval.json")
        return json.loads((tmp_path / "eval.json").read_text())

    assert evaluated("--text", tmp_path / "b.jsonl") == evaluated("--data", tmp_path / "packed")
    result = evaluated("--text", tmp_path / "a.txt", "--lengths", "32,128")
    nats = result["loss"] * result["tokens"]
    assert result["bits_per_byte"] == pytest.approx(nats / math.log(2) / len(text.encode()))
    assert result["perplexity"] == pytest.approx(math.exp(result["loss"]))
    assert [row["length"] for row in result["by_length"]] == [32, 128]


@pytest.fixture
def broken(run_file, tmp_path):
    """A checkpoint whose weights are no numbers: of a step beyond all of them."""
    zebra("train", run_file, "--set", "optimizer.lr=1e300", "--set", "schedule.warmup_steps=0", "--set", "train.max_steps=1",
          "--set", "eval.every_steps=0")
    return tmp_path / "run"


def test_a_figure_that_is_no_number_is_status_1(broken, tmp_path):
    _, error = zebra("eval", broken, "--lengths", "32,64", "--max-tokens", 256, "--json", tmp_path / "eval.json", status=1)
    assert "the loss at length 32, 64 is not a finite number" in error
    result = json.loads((tmp_path / "eval.json").read_text())
    assert result["loss"] is result["perplexity"] is result["bits_per_byte"] is None
    assert [row["loss"] for row in result["by_length"]] == [None, None]
    (tmp_path / "notes.txt").write_text("x = 1\n")
    assert "the loss at length" in zebra("eval", broken, "--text", tmp_path / "notes.txt", status=1)[1]
    for prompts in (["--prompt", "x"], ["--prompts", "-"]):
        output, error = zebra("generate", broken, *prompts, stdin='{"prompt": "x"}\n', status=1)
        assert "what the model predicts is not a finite number" in error
        assert "completion" not in output


def test_outside_of_the_prompts_terminal_newlines(trained):
    output, _ = zebra("generate", trained, "--prompt", "a\tb\n  c ", "--max-new-tokens", 1)
    assert output.startswith("a\tb\n  c ")


def test_export_refuses_an_existing_folder(trained, tmp_path):
    zebra("export", trained, "--output", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer.model", "tokenizer_config.json"]
    _, error = zebra("export", trained, "--output", tmp_path / "out", status=2)
    assert "exists already" in error


def test_libtorchs_cuda_library_is_loaded_where_a_driver_is(tmp_path):
    """And nowhere else: it costs every command half as much again."""
    if not zebra("--version")[0].rstrip().endswith("CUDA)"):
        pytest.skip("a build without CUDA")
    subprocess.run(["gcc", "-shared", "-x", "c", "/dev/null", "-o", tmp_path / "libcuda.so.1"], check=True)
    for folder, loaded in ((tmp_path, True), (tmp_path / "nowhere", False)):
        result = subprocess.run([ZEBRA, "--version"], env={**os.environ, "LD_LIBRARY_PATH": str(folder), "LD_DEBUG": "libs"},
                                capture_output=True, text=True)
        assert result.returncode == 0
        for library in ("libzebra_cuda.so", "libtorch_cuda.so"):
            assert bool(re.search(f"calling init: .*/{library}", result.stderr)) == (loaded or os.path.exists("/dev/nvidiactl"))
