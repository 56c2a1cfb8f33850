#!/usr/bin/env python3
"""Writes the weights from which all contenders of compare.py start, as a HuggingFace folder that `zebra import` reads.

    initial_model.py SHAPE.json LENGTH FOLDER"""

import json
import pathlib
import sys

from safetensors.torch import save_file

import peer_model


def config(shape, length):
    """config.json of a Llama; which layers are local is for the contenders to say."""
    return {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"],
        "hidden_size": shape.width, "intermediate_size": shape.intermediate, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.key_heads, "head_dim": shape.head_size,
        "vocab_size": shape.vocabulary, "max_position_embeddings": length, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": False, "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2, "dtype": "float32",
    }


def main():
    shape_file, length, folder = sys.argv[1:]
    shape = peer_model.Shape(**json.loads(pathlib.Path(shape_file).read_text()))
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config(shape, int(length)), indent=2) + "\n")
    save_file(peer_model.initial_weights(shape, seed=1), folder / "model.safetensors")


if __name__ == "__main__":
    main()
