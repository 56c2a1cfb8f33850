"""`zebra import` of random models that transformers made: its logits, its greedy text, and what is refused."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
import transformers
from conftest import BUILD, ROOT, RUN_FILE, zebra
from safetensors.torch import load_file, save_file

WINDOW = 16  # HuggingFace's: the token itself counts
LENGTH = 100  # of the texts compared: several windows, and beyond the original length where positions are scaled
NEW_TOKENS = WINDOW + 64
SHAPE = {"vocab_size": 512, "hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 4, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 128,
         "initializer_range": 0.2}  # wide enough for varied text and no near ties
THETA = {"rope_theta": 5e4}
MIXED = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]

MODELS = {
    "llama": (transformers.LlamaConfig, {"rope_parameters": {"rope_type": "default", **THETA}}),
    "llama, tied, heads of their own width": (transformers.LlamaConfig, {
        "tie_word_embeddings": True, "head_dim": 24, "num_key_value_heads": 1}),
    "llama, linear": (transformers.LlamaConfig, {"rope_parameters": {"rope_type": "linear", "factor": 4.0, **THETA}}),
    "llama, dynamic": (transformers.LlamaConfig, {
        "rope_parameters": {"rope_type": "dynamic", "factor": 2.0, **THETA}, "max_position_embeddings": 32}),
    "llama, yarn": (transformers.LlamaConfig, {
        "rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 2.0,
                            **THETA}}),
    "mistral": (transformers.MistralConfig, {"sliding_window": WINDOW}),
    "mistral, no window": (transformers.MistralConfig, {"sliding_window": None}),
    "cwm": (transformers.CwmConfig, {
        "sliding_window": WINDOW, "layer_types": MIXED, "head_dim": 16, "eos_token_id": [2],
        "bos_token_id": 1, "rope_parameters": {"rope_type": "default", **THETA}}),
    "llama, llama3": (transformers.LlamaConfig, {
        "rope_parameters": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                            "original_max_position_embeddings": 64, **THETA}}),
    "cwm, scaled as it comes": (transformers.CwmConfig, {
        "sliding_window": WINDOW, "layer_types": MIXED, "head_dim": 16, "eos_token_id": [2], "bos_token_id": 1}),
    "ministral": (transformers.MinistralConfig, {"sliding_window": WINDOW, "layer_types": MIXED, "head_dim": 24}),
    "qwen3": (transformers.Qwen3Config, {"head_dim": 16, "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2}),
    "qwen3, windows": (transformers.Qwen3Config, {
        "head_dim": 24, "use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 2, "bos_token_id": 1,
        "eos_token_id": 2}),
    "olmo3": (transformers.Olmo3Config, {
        "sliding_window": WINDOW, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None,
        "rope_parameters": {
            "full_attention": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 2.0,
                               **THETA},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e3}}}),
    "granite_swa": (transformers.GraniteSWAConfig, {
        "sliding_window": WINDOW, "layer_types": MIXED, "layer_rope_theta": [0, 5e3, 5e3, 0], "attention_multiplier": 0.25,
        "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2}),
    "granite_swa, tied, heads of their own width, yarn": (transformers.GraniteSWAConfig, {
        "sliding_window": WINDOW, "head_dim": 24, "attention_multiplier": 24 ** -0.5, "bos_token_id": 1, "eos_token_id": 2,
        "rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, **THETA}}),
}
GENERATED = ["llama", "llama, linear", "llama, yarn", "mistral", "cwm", "llama, llama3", "ministral", "qwen3, windows", "olmo3",
             "granite_swa"]


def pieces_of(path):
    """The pieces of a SentencePiece model: field 1 of each field 1 (the types of all others are skipped)."""
    def fields(data):
        def varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value

        at = 0
        while at < len(data):
            key = varint()
            if key & 7 == 2:
                size = varint()
                yield key >> 3, data[at:at + size]
                at += size
            elif key & 7 == 0:
                yield key >> 3, varint()
            else:
                at += {1: 8, 5: 4}[key & 7]
    return [dict(fields(piece))[1].decode() for number, piece in fields(path.read_bytes()) if number == 1]


def save(model, folder, data, **options):
    model.save_pretrained(folder, **options)
    shutil.copy(data / "tok.model", folder / "tokenizer.model")


@pytest.fixture(scope="session")
def sources(shared, data):
    """sources(NAME): the folder of that model, as transformers saves it in several shards, and its import."""
    def get(name):
        number = list(MODELS).index(name)

        def make(folder):
            kind, options = MODELS[name]
            torch.manual_seed(number)
            model = transformers.AutoModelForCausalLM.from_config(kind(**{**SHAPE, **options}))
            for parameter_name, parameter in model.named_parameters():  # else all 1, and all sinks 0
                if parameter_name.endswith(("q_norm.weight", "k_norm.weight", "sinks")):
                    parameter.data += 0.5 * torch.randn_like(parameter)
            if name in GENERATED:  # only pieces that are text: neither bytes of broken characters nor the end
                plain = torch.tensor([not piece.startswith("<") for piece in pieces_of(data / "tok.model")])
                model.lm_head.weight.data *= plain[:, None]
            save(model, folder / "hf", data, max_shard_size="5GB" if "tied" in name else "200KB")
            zebra("import", folder / "hf", "--output", folder / "zebra")

        folder = shared(f"import-{number}", make)
        return folder / "hf", folder / "zebra"

    return get


def relative_error(actual, expected):
    return ((actual.double() - expected.double()).abs().max() / expected.double().abs().max()).item()


def our_logits(checkpoint, tokens, folder):
    save_file({"tokens": tokens, "targets": tokens.clone(), "document_begins": torch.zeros_like(tokens)},
              folder / "input.safetensors")
    subprocess.run([BUILD / "tests/zebra_dump_gradients", checkpoint, folder / "input.safetensors",
                    folder / "output.safetensors"], check=True, timeout=300)
    return load_file(folder / "output.safetensors")["logits"]


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_transformers(sources, tmp_path, name):
    source, checkpoint = sources(name)
    tokens = torch.randint(512, (2, LENGTH), generator=torch.Generator().manual_seed(7))
    model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    with torch.no_grad():
        expected = model(tokens).logits
    assert relative_error(our_logits(checkpoint, tokens, tmp_path), expected) <= 1e-4


@pytest.mark.parametrize("name", GENERATED)
def test_greedy_text_is_that_of_transformers(sources, data, name):
    source, checkpoint = sources(name)
    model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    with torch.no_grad():
        tokens = model.generate(torch.tensor([[1]]), do_sample=False, max_new_tokens=NEW_TOKENS)[0]
        best = model(tokens[None]).logits[0, :-1].topk(2).values
    assert len(tokens) == 1 + NEW_TOKENS
    assert len(set(tokens.tolist())) > 10  # a text that repeats itself proves little
    assert (best[:, 0] - best[:, 1]).min() > 1e-4 * best.abs().max()  # no ties
    text, _ = zebra("generate", checkpoint, "--prompt", "", "--temperature", 0, "--max-new-tokens", NEW_TOKENS)
    pieces = pieces_of(data / "tok.model")
    assert text == "".join(pieces[token] for token in tokens[1:].tolist()).replace("\u2581", " ") + "\n"


def rewritten(source, folder, change):
    """A copy of a source with another config.json: the weights are links."""
    folder.mkdir()
    for file in source.iterdir():
        (folder / file.name).symlink_to(file)
    config = json.loads((source / "config.json").read_text())
    change(config)
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def in_old_spelling(config):
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    config["rope_scaling"] = {"type": kind, **rope} if kind != "default" else None
    config["torch_dtype"] = config.pop("dtype")


@pytest.mark.parametrize("name", ["llama", "llama, linear", "llama, dynamic", "llama, yarn", "llama, llama3", "mistral"])
def test_both_spellings_of_the_rotary_embedding_are_read(sources, tmp_path, name):
    source, checkpoint = sources(name)
    old = rewritten(source, tmp_path / "old", in_old_spelling)
    read = transformers.AutoConfig.from_pretrained(old).rope_parameters
    read.pop("type", None)
    assert read == transformers.AutoConfig.from_pretrained(source).rope_parameters
    sections = [zebra("import", folder, "--output", tmp_path / "out", "--dry-run")[0] for folder in (source, old)]
    assert sections[0] == sections[1]
    assert sections[0].startswith("model:\n") and sections[0] in (checkpoint / "config.yaml").read_text()
    assert not (tmp_path / "out").exists()


def test_scaling_that_a_config_leaves_out_is_that_of_transformers(sources, tmp_path):
    source, checkpoint = sources("cwm, scaled as it comes")
    silent = rewritten(source, tmp_path / "silent", lambda config: config.pop("rope_parameters"))
    read = transformers.AutoConfig.from_pretrained(silent).rope_parameters
    assert read == transformers.AutoConfig.from_pretrained(source).rope_parameters and read["rope_type"] == "llama3"
    section, _ = zebra("import", silent, "--output", tmp_path / "out", "--dry-run")
    assert "type: llama3" in section and section in (checkpoint / "config.yaml").read_text()


def test_the_authors_own_zebra_in_their_format(sources, tmp_path):
    """A llama with four keys of theirs and weights in PyTorch's format: the weights of a cwm of the same layers."""
    source, checkpoint = sources("cwm")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    config = json.loads((source / "config.json").read_text())
    del config["layer_types"], config["sliding_window"]
    config |= {"model_type": "llama", "self_attn_type": "mix", "layer_group_size": 3, "window_size": WINDOW - 1,
               "use_fsdp": False}
    (theirs / "config.json").write_text(json.dumps(config))
    shutil.copy(source / "tokenizer.model", theirs)
    tensors = {name: value for file in source.glob("*.safetensors") for name, value in load_file(file).items()}
    shards = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    files = {name: shards[number % 2] for number, name in enumerate(sorted(tensors))}
    for shard in shards:
        torch.save({name: tensors[name] for name, file in files.items() if file == shard}, theirs / shard)
    (theirs / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": files}))

    _, error = zebra("import", theirs, "--output", tmp_path / "out", status=2)
    assert "bin_to_safetensors.py" in error
    script = ROOT / "scripts/huggingface/bin_to_safetensors.py"
    subprocess.run([sys.executable, script, theirs, tmp_path / "converted"], check=True, capture_output=True)
    again = subprocess.run([sys.executable, script, theirs, tmp_path / "converted"], capture_output=True, text=True)
    assert again.returncode == 2 and "exists already" in again.stderr
    zebra("import", tmp_path / "converted", "--output", tmp_path / "out")
    layout = "attention_pattern: GLLG"
    assert layout in (checkpoint / "config.yaml").read_text() and layout in (tmp_path / "out/config.yaml").read_text()
    tokens = torch.randint(512, (1, LENGTH), generator=torch.Generator().manual_seed(7))
    assert torch.equal(our_logits(tmp_path / "out", tokens, tmp_path), our_logits(checkpoint, tokens, tmp_path))


@pytest.mark.parametrize("overrides", [
    [],
    ["model.qk_norm=true", "model.attention_sink=true", "model.global_rope_theta=0", "model.local_rope_theta=500",
     "model.rope_scaling={type: yarn, factor: 4, original_max_position_embeddings: 64, layers: global}"],
    ["model.rope_scaling={type: dynamic, factor: 2, original_max_position_embeddings: 32}", "model.tie_word_embeddings=true"],
    ["model.attention_sink=true", "model.global_rope_theta=0"],
    ["model={norm_placement: reordered, qk_norm: projection, local_rope_theta: 500}",
     "model.rope_scaling={type: llama3, factor: 4, original_max_position_embeddings: 64, layers: global}"],
], ids=["mixed", "all of our own", "dynamic", "granite_swa", "olmo3"])
def test_an_export_comes_back(tmp_path, data, overrides):
    (tmp_path / "run.yaml").write_text(RUN_FILE.format(dir=tmp_path / "run", data=data))
    zebra("train", tmp_path / "run.yaml", "--stop-after", 1, *[word for setting in overrides for word in ("--set", setting)])
    zebra("export", tmp_path / "run", "--output", tmp_path / "hf")
    zebra("import", tmp_path / "hf", "--output", tmp_path / "back")
    tokens = torch.randint(512, (1, LENGTH), generator=torch.Generator().manual_seed(7))
    (tmp_path / "a").mkdir()
    before, after = our_logits(tmp_path / "run", tokens, tmp_path / "a"), our_logits(tmp_path / "back", tokens, tmp_path / "a")
    assert torch.equal(before, after)
    models = [yaml_section(folder) for folder in (tmp_path / "run", tmp_path / "back")]
    assert models[0] == models[1]  # idle sinks are gone again


def yaml_section(folder):
    """The model of a resolved file, without what another name of the same theta may change."""
    text = (folder / "config.yaml").read_text()
    return {line for line in text[text.index("model:\n"):text.index("data:\n")].splitlines() if "rope_theta" not in line}


def test_an_import_is_evaluated(sources, data, tmp_path):
    _, checkpoint = sources("mistral")
    zebra("eval", checkpoint, "--data", data / "valid", "--lengths", "64", "--max-tokens", 640,
          "--json", tmp_path / "eval.json")
    assert json.loads((tmp_path / "eval.json").read_text())["tokens"] == 640


def test_what_does_not_fit_is_refused_all_at_once(sources, tmp_path):
    source, _ = sources("mistral")

    def change(config):
        config.update(attention_bias=True, num_hidden_layers=5, mystery=1, eos_token_id=9)

    broken = rewritten(source, tmp_path / "broken", change)
    (broken / "tokenizer.model").unlink()
    _, error = zebra("import", broken, "--output", tmp_path / "out", status=2)
    lines = error.splitlines()
    assert len(lines) == 3
    assert "attention_bias: true cannot be imported" in lines[0]
    assert "mystery: unknown key" in lines[1]
    assert "tokenizer.model: there is no such tokenizer" in lines[2]

    odd = rewritten(source, tmp_path / "odd", lambda config: config.update(mystery=1, off=False))
    section, error = zebra("import", odd, "--output", tmp_path / "out", "--ignore-key", "mystery", "--dry-run")
    assert section.startswith("model:\n") and "null or false" in error and "off" in error

    deeper = rewritten(source, tmp_path / "deeper", lambda config: config.update(num_hidden_layers=5))
    _, error = zebra("import", deeper, "--output", tmp_path / "out", status=2)
    assert "lacks 9 tensors (model.layers.4." in error
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []
