"""Exports in transformers: its logits and greedy generation against ours, its tokenizer against our datasets."""

import hashlib
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile

import numpy
import pytest
import torch
from conftest import BUILD, ROOT, RUN_FILE, zebra
from safetensors.torch import load_file, save_file

CACHE = tempfile.TemporaryDirectory()  # transformers copies modeling_zebra.py there before it runs it
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": CACHE.name, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

import transformers  # noqa: E402: reads the environment
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402
from transformers.masking_utils import eager_mask  # noqa: E402

transformers.logging.disable_progress_bar()

BOUND = 1e-4  # of the largest logit
WINDOW = 16
NEW_TOKENS = 80
KEPT_TOKENS = 64  # a generation may end early, but not before these
YARN = "model.rope_scaling={type: yarn, factor: 4, original_max_position_embeddings: 32}"
GLOBAL, LOCAL = "model.self_attn_type=full", "model.self_attn_type=local"
TIED = "model.tie_word_embeddings=true"
SIX_HEADS = "model={num_attention_heads: 6, head_dim: 16}"  # of 64 dimensions, and 2 key heads
OWN = "sinks in all layers, QK-norm, reordered norms, no rotation in global layers"
LAYOUTS = {
    "mixed": ("cwm", []),
    "mixed, tied, linear, one key head": ("cwm", [
        TIED, "model.global_layer=last", "model.num_key_value_heads=1", "model.rope_scaling={type: linear, factor: 4}"]),
    "mixed, yarn, a head size of its own": ("cwm", [YARN, "model.attention_pattern=LGLL", "model.head_dim=24"]),
    "global, llama3": ("llama", [
        GLOBAL, "model.rope_scaling={type: llama3, factor: 4, original_max_position_embeddings: 64, low_freq_factor: 2}"]),
    "global, tied, yarn, as many key heads": ("llama", [GLOBAL, TIED, YARN, "model.num_key_value_heads=4"]),
    "local, heads that do not divide the width": ("mistral", [LOCAL, "model.rope_theta=500", SIX_HEADS]),
    "local, tied, linear": ("mistral", [LOCAL, TIED, "model.rope_scaling={type: linear, factor: 4}"]),
    "dynamic": ("zebra", ["model.rope_scaling={type: dynamic, factor: 2, original_max_position_embeddings: 32}"]),
    "window 0": ("zebra", ["model.window_size=0"]),
    "QK-norm, heads that do not divide the width": ("qwen3", ["model.qk_norm=true", SIX_HEADS]),
    "norms of OLMo 3, yarn on global layers, theta by kind, heads that do not divide the width": ("olmo3", [
        SIX_HEADS,
        YARN, "model.rope_scaling.layers=global", "model={norm_placement: reordered, qk_norm: projection}",
        "model.local_rope_theta=500"]),
    "sinks, theta by kind, heads that do not divide the width": ("granite_swa", [
        SIX_HEADS, "model.attention_sink=true", "model.global_rope_theta=5e4", "model.local_rope_theta=500"]),
    "sinks in all layers, no rotation in global ones, tied, linear": ("granite_swa", [
        TIED, "model.attention_sink=all", "model.global_rope_theta=0", "model.rope_scaling={type: linear, factor: 4}"]),
    "yarn on global layers, QK-norm of projections, tied": ("zebra", [
        YARN, "model.rope_scaling.layers=global", "model.qk_norm=projection", TIED]),
    OWN: ("zebra", ["model={attention_sink: all, qk_norm: true, norm_placement: reordered}", "model.global_rope_theta=0",
                    "model.num_key_value_heads=1"]),
}
PROMPTS = [f"def {name}(self, values):\n    \"\"\"Return the {name} of the values.\"\"\"\n" for name in
           ("first", "last", "sum", "size", "mean")]


@pytest.fixture(scope="module")
def export(shared, data):
    """export(settings) trains for three steps, large initial weights making text that does not repeat itself, and gives the run
    and its export. The same settings are trained once."""
    def get(settings):
        def make(folder):
            (folder / "run.yaml").write_text(RUN_FILE.format(dir=folder / "run", data=data))
            common = ["optimizer.lr=0.01", "model.initializer_range=0.2", "eval.every_steps=0", "train.global_batch_size=2",
                      "train.micro_batch_size=2"]
            overrides = [word for setting in [*common, *settings] for word in ("--set", setting)]
            zebra("train", folder / "run.yaml", "--stop-after", 3, *overrides)
            zebra("export", folder / "run", "--output", folder / "export")

        folder = shared("export-" + hashlib.sha256(repr(settings).encode()).hexdigest()[:16], make)
        return folder / "run", folder / "export"

    return get


def is_own(folder):
    return config_of(folder)["model_type"] == "zebra"


def opened(folder, **options):
    """As a stock class wherever the export names one: no code of the folder's runs."""
    return AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=is_own(folder), **options).eval()


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def our_logits(run, tokens, folder):
    """[B, T, V] of Zebra's own model."""
    save_file({"tokens": tokens, "targets": tokens.clone(), "document_begins": torch.zeros_like(tokens)},
              folder / "input.safetensors")
    subprocess.run([BUILD / "tests/zebra_dump_gradients", run, folder / "input.safetensors", folder / "output.safetensors"],
                   check=True, timeout=300)
    return load_file(folder / "output.safetensors")["logits"]


def some_tokens(*shape):
    return torch.randint(3, 512, shape, generator=torch.Generator().manual_seed(1))


def relative_error(actual, expected):
    return ((actual - expected).abs().max() / expected.abs().max()).item()


@torch.no_grad()
def test_the_release_of_transformers_is_the_pinned_one(export):
    pinned = re.search(r"^transformers==(\S+)", (ROOT / "scripts/requirements.txt").read_text(), re.MULTILINE)[1]
    assert transformers.__version__ == pinned
    assert config_of(export([])[1])["transformers_version"] == pinned


@torch.no_grad()
@pytest.mark.parametrize("layout", LAYOUTS)
def test_logits(export, tmp_path, layout):
    model_type, settings = LAYOUTS[layout]
    run, folder = export(settings)
    assert config_of(folder)["model_type"] == model_type
    tokens = some_tokens(2, 97)
    ours = our_logits(run, tokens, tmp_path)
    for implementation in ["eager"] if model_type == "granite_swa" else ["sdpa", "eager"]:  # whose class has no sdpa
        theirs = opened(folder, attn_implementation=implementation)(tokens).logits
        assert theirs.dtype == torch.float32
        assert relative_error(theirs, ours) <= BOUND


def greedy(model, tokenizer, prompt):
    """Prompt and new tokens, the end of the document excluded."""
    tokens = tokenizer(prompt, return_tensors="pt").input_ids
    assert tokens.shape[1] > WINDOW
    text = model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=NEW_TOKENS)
    new = text[0, tokens.shape[1]:].tolist()
    return tokens[0].tolist(), new[:new.index(tokenizer.eos_token_id)] if tokenizer.eos_token_id in new else new


def text_of(tokenizer, tokens):
    """As SentencePiece has it: tokenizers drops the ASCII among bytes that are no UTF-8, which these models like."""
    text = b""
    for piece in tokenizer.convert_ids_to_tokens(tokens):
        byte = re.fullmatch("<0x(..)>", piece)
        if byte:
            text += bytes.fromhex(byte[1])
        elif piece not in tokenizer.all_special_tokens:
            text += piece.replace("\u2581", " ").encode()
    return text.decode(errors="replace")


def without_losses(text):
    """Without the unknown piece, one mark for any number of bytes that are no UTF-8, line ends as subprocess has them."""
    return re.sub("\ufffd+", "\ufffd", re.sub("\r\n?", "\n", text.replace(" \u2047 ", "")))


@torch.no_grad()
@pytest.mark.parametrize("layout", LAYOUTS)
def test_greedy_generation(export, tmp_path, layout):
    run, folder = export(LAYOUTS[layout][1])
    model, tokenizer = opened(folder), AutoTokenizer.from_pretrained(folder, trust_remote_code=is_own(folder))
    for prompt in PROMPTS:
        before, new = greedy(model, tokenizer, prompt)
        if len(new) >= KEPT_TOKENS:
            break
    assert len(new) >= KEPT_TOKENS and len(set(new)) > 10, "the test's models must go on, and not repeat themselves"

    # Each token is the likeliest of our model after the same tokens, or one that ties with it within the bound.
    logits = our_logits(run, torch.tensor([before + new]), tmp_path)[0, len(before) - 1:-1]
    behind = logits.max(-1).values - logits[torch.arange(len(new)), new]
    assert behind.max() <= BOUND * logits.abs().max()
    largest = logits.topk(2).values
    if (largest[:, 0] - largest[:, 1]).min() > BOUND * logits.abs().max():
        text, _ = zebra("generate", run, "--prompt", prompt, "--temperature", 0, "--max-new-tokens", NEW_TOKENS)
        assert without_losses(text) == without_losses(prompt + text_of(tokenizer, new) + "\n")


@torch.no_grad()
@pytest.mark.parametrize("layout", ["mixed, yarn, a head size of its own", "yarn on global layers, QK-norm of projections, tied"])
def test_either_spelling_of_rope_suffices(export, tmp_path, layout):
    _, folder = export(LAYOUTS[layout][1])
    tokens = some_tokens(1, 97)
    expected = opened(folder)(tokens).logits
    for missing in (["rope_parameters"], ["rope_theta", "rope_scaling"]):
        copy = tmp_path / missing[0]
        copy.mkdir()
        for file in folder.iterdir():
            (copy / file.name).symlink_to(file)
        (copy / "config.json").unlink()
        (copy / "config.json").write_text(json.dumps({k: v for k, v in config_of(folder).items() if k not in missing}))
        assert torch.equal(opened(copy)(tokens).logits, expected)


@torch.no_grad()
def test_our_own_architecture_in_batches_as_a_loss_and_saved_again(export, tmp_path):
    _, folder = export(LAYOUTS[OWN][1])
    model, tokenizer = opened(folder), AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    prompts = [PROMPTS[0], "x"]
    alone = [model.generate(**tokenizer(prompt, return_tensors="pt"), max_new_tokens=20)[0, -20:].tolist()
             for prompt in prompts]
    tokenizer.padding_side = "left"
    batch = tokenizer(prompts, return_tensors="pt", padding=True)
    assert batch.attention_mask.min() == 0 and model.generation_config.pad_token_id == tokenizer.pad_token_id
    assert model.generate(**batch, max_new_tokens=20)[:, -20:].tolist() == alone
    assert model.generate(**batch, max_new_tokens=20, use_cache=False)[:, -20:].tolist() == alone

    tokens = some_tokens(2, 40)
    result = model(tokens, labels=tokens)
    expected = torch.nn.functional.cross_entropy(result.logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    assert math.isclose(result.loss, expected, rel_tol=1e-5)

    # Positions that begin again begin another document.
    positions = torch.cat([torch.arange(23), torch.arange(17)])[None].expand(2, -1)
    packed = model(tokens, position_ids=positions, use_cache=False).logits
    for begin, end in ((0, 23), (23, 40)):
        assert relative_error(packed[:, begin:end], model(tokens[:, begin:end]).logits) <= BOUND

    model.save_pretrained(tmp_path / "again")
    assert torch.equal(opened(tmp_path / "again")(tokens).logits, result.logits)


@torch.no_grad()
def test_another_implementation_can_take_the_attention_of_our_own_architecture(export):
    _, folder = export(LAYOUTS[OWN][1])
    calls = []

    def recorded(module, *arguments, sliding_window, s_aux, **options):
        calls.append((sliding_window, s_aux.shape))
        plain = sys.modules[type(module).__module__].eager_attention
        return plain(module, *arguments, s_aux=s_aux, **options)

    transformers.AttentionInterface.register("recorded", recorded)
    transformers.AttentionMaskInterface.register("recorded", eager_mask)
    tokens = some_tokens(1, 40)
    expected = opened(folder, attn_implementation="eager")(tokens).logits
    assert torch.equal(opened(folder, attn_implementation="recorded")(tokens).logits, expected)
    assert calls == [(None, (4,)), (WINDOW + 1, (4,))] * 2


@torch.no_grad()
def test_type_and_shards_are_options(export, tmp_path):
    run, folder = export([])
    zebra("export", run, "--output", tmp_path / "bf16", "--dtype", "bf16", "--max-shard-size", 0.0001)
    assert len(list((tmp_path / "bf16").glob("model-*.safetensors"))) > 3
    weights, rounded = opened(folder).state_dict(), opened(tmp_path / "bf16").state_dict()
    assert weights.keys() == rounded.keys()
    for name, values in rounded.items():
        assert values.dtype == torch.bfloat16 and torch.equal(values, weights[name].bfloat16()), name


@torch.no_grad()
def test_a_bf16_run_gives_its_float32_weights_on_request(export, tmp_path):
    run, folder = export(["train.precision=bf16"])
    zebra("export", run, "--output", tmp_path / "fp32", "--dtype", "fp32")
    rounded, weights = load_file(folder / "model.safetensors"), load_file(tmp_path / "fp32/model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    assert rounded[name].dtype == torch.bfloat16 and weights[name].dtype == torch.float32
    assert torch.equal(weights[name].bfloat16(), rounded[name])
    assert not torch.equal(weights[name], rounded[name].float())


def test_bad_options_are_refused(export, tmp_path):
    run, folder = export([])
    for options in (["--dtype", "fp16"], ["--max-shard-size", "0"]):
        zebra("export", run, "--output", tmp_path / "out", *options, status=2)
    _, error = zebra("export", run, "--output", folder, status=2)
    assert "exists already" in error
    assert not list(tmp_path.iterdir())


TEXTS = [
    "def f(x):\n\treturn x + 1\n", "    two  words\n\n\n   and \t\t a  line \n ", " ", "\n", "0123 45.6e-7  789",
    "naïve 中文 🦓 👩‍👩‍👧 e\u0301 \u00a0 \r\n ﬁ", "<s> </s> <unk> <0x41> \x01\x7f\x00", "a" * 200,
    " " * 75 + "x", "=" * 33,
]
BITS = [" ", "  ", "    ", "\n", "\t", "self", "def ", "return", "in", "t", "h", "e", ".", "(", ")", "_", "0", "42", "é", "→",
        "中", "😀", "\u0301", "\u00a0", "\r", "<s>", "</s>", "#", "--", "\"\"\""]


def test_the_tokenizer_gives_our_tokens_and_the_text_back(export, tmp_path, data):
    generator = random.Random(1)
    code = "".join(path.read_text(errors="replace") for path in sorted((data / "corpus/valid").rglob("*.py")))
    cuts = [generator.randrange(len(code)) for _ in range(50)]
    texts = TEXTS + ["".join(generator.choices(BITS, k=generator.randint(1, 60))) for _ in range(300)] + \
        [code[cut:cut + generator.choice([5, 50, 2000])] for cut in cuts]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    zebra("data", "pack", "--input", tmp_path / "texts.jsonl", "--tokenizer", data / "tok.model",
          "--output", tmp_path / "packed")
    ours = numpy.fromfile(tmp_path / "packed/tokens.bin", numpy.uint16)
    bounds = numpy.fromfile(tmp_path / "packed/documents.bin", numpy.uint64)
    assert len(bounds) == len(texts) + 1

    tokenizer = AutoTokenizer.from_pretrained(export([])[1])
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (1, 2, 0)
    for text, begin, end in zip(texts, bounds, bounds[1:]):
        tokens = tokenizer(text).input_ids
        assert tokens + [tokenizer.eos_token_id] == ours[int(begin):int(end)].tolist(), repr(text)
        assert tokenizer.decode(tokens, skip_special_tokens=True) == text


def test_lm_eval_says_what_it_needs(export, tmp_path):
    def run(*arguments):
        return subprocess.run(["bash", ROOT / "scripts/lm_eval.sh", *arguments], capture_output=True, text=True, timeout=60)

    for arguments, words in [([], "usage"), ([tmp_path / "absent"], "no folder"), ([tmp_path], "not an export")]:
        result = run(*arguments)
        assert result.returncode == 2 and words in result.stderr
    assert run("--help").returncode == 0
