"""The whole model's logits, loss and gradients against an independent PyTorch implementation, through an export."""

import subprocess

import pytest
import torch
from conftest import BUILD, RUN_FILE, zebra
from reference_model import ReferenceModel
from safetensors.torch import load_file, save_file

LAYOUTS = {
    "mixed": [],
    "global last, odd window": ["model.global_layer=last", "model.layer_group_size=3", "model.window_size=7"],
    "all global": ["model.self_attn_type=full"],
    "all local, window 0": ["model.self_attn_type=local", "model.window_size=0"],
    "window beyond the length": ["model.window_size=500"],
    "tied": ["model.tie_word_embeddings=true"],
    "pattern, one key head": ["model.attention_pattern=LGLL", "model.num_key_value_heads=1"],
    "linear": ["model.rope_scaling={type: linear, factor: 4}"],
    "dynamic": ["model.rope_scaling={type: dynamic, factor: 2, original_max_position_embeddings: 32}"],
    "yarn": ["model.rope_scaling={type: yarn, factor: 4, original_max_position_embeddings: 64}"],
    "yarn on global layers": ["model.rope_scaling={type: yarn, factor: 4, original_max_position_embeddings: 64, layers: global}"],
    "QK-norm": ["model.qk_norm=true"],
    "sinks": ["model.attention_sink=true"],
    "sinks, QK-norm, no rotation in global layers": ["model.attention_sink=true", "model.qk_norm=true",
                                                     "model.global_rope_theta=0", "model.num_key_value_heads=1"],
    "last layer forced global": ["model.always_global=last", "model.layer_group_size=9"],
    "theta by kind": ["model.global_rope_theta=0", "model.local_rope_theta=500"],
    "llama3": ["model.rope_scaling={type: llama3, factor: 8, original_max_position_embeddings: 64, low_freq_factor: 2}"],
    "reordered norms, QK-norm of projections": ["model={norm_placement: reordered, qk_norm: projection}"],
    "QK-norm of projections, sinks in all layers": ["model={qk_norm: projection, attention_sink: all}"],
    "reordered norms, sinks in all layers, all global": ["model={norm_placement: reordered, attention_sink: all}",
                                                         "model.self_attn_type=full", "model.num_key_value_heads=1"],
}


def relative_error(actual, expected):
    scale = expected.abs().max().clamp_min(1e-12)  # an all-zero gradient must be matched exactly
    return ((actual.double() - expected.double()).abs().max() / scale).item()


@pytest.fixture(params=LAYOUTS, scope="module")
def trained_and_exported(request, shared, data):
    """The run of a layout, trained for three steps, and its export."""
    def make(folder):
        (folder / "run.yaml").write_text(RUN_FILE.format(dir=folder / "run", data=data))
        overrides = [argument for setting in LAYOUTS[request.param] for argument in ("--set", setting)]
        zebra("train", folder / "run.yaml", "--stop-after", 3, "--set", "optimizer.lr=0.01", *overrides)
        zebra("export", folder / "run", "--output", folder / "export")

    folder = shared(f"parity-{list(LAYOUTS).index(request.param)}", make)
    return folder / "run", folder / "export"


@pytest.mark.parametrize("packed", [False, True], ids=["whole", "packed"])
def test_parity(trained_and_exported, tmp_path, packed):
    run, export = trained_and_exported
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(512, (2, 61), generator=generator)
    targets = torch.randint(512, (2, 61), generator=generator)
    targets[:, ::5] = -100
    begins = torch.zeros_like(tokens)
    if packed:
        begins[0, [1, 17, 60]] = 1
        begins[1, 40] = 1
    save_file({"tokens": tokens, "targets": targets, "document_begins": begins}, tmp_path / "input.safetensors")
    subprocess.run([BUILD / "tests/zebra_dump_gradients", run, tmp_path / "input.safetensors",
                    tmp_path / "output.safetensors"], check=True, timeout=300)
    ours = load_file(tmp_path / "output.safetensors")

    reference = ReferenceModel(export, torch.float64)
    logits = reference.logits(tokens, begins)
    loss = reference.loss(logits, targets)
    loss.backward()
    assert relative_error(ours["logits"], logits) <= 2e-5
    assert relative_error(ours["loss"], loss) <= 1e-5
    for name, weight in reference.weights.items():
        assert relative_error(ours[name], weight.grad) <= 5e-5, name
    assert set(ours) == set(reference.weights) | {"logits", "loss"}
