"""The command's own behaviour: help, version, exit statuses, and one clear message for bad input."""

import json

import pytest
from conftest import ZEBRA, zebra

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
    assert output.startswith("zebra 0.") and "LibTorch 2.11.0" in output


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


def test_outside_of_the_prompts_terminal_newlines(trained):
    output, _ = zebra("generate", trained, "--prompt", "a\tb\n  c ", "--max-new-tokens", 1)
    assert output.startswith("a\tb\n  c ")


def test_export_refuses_an_existing_folder(trained, tmp_path):
    zebra("export", trained, "--output", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer.model", "tokenizer_config.json"]
    _, error = zebra("export", trained, "--output", tmp_path / "out", status=2)
    assert "exists already" in error
