"""The tokens a second that the loader of a training run delivers alone, beside those that the reference model trains on."""

import json
import subprocess

REFERENCE = {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 6, "num_attention_heads": 8,
             "num_key_value_heads": 4, "layer_group_size": 3, "window_size": 256}
SMALLEST = {"hidden_size": 2, "intermediate_size": 2, "num_hidden_layers": 1, "num_attention_heads": 1,
            "self_attn_type": "local", "window_size": 1}


def write_run_file(path, model, tokenizer, dataset, steps):
    """A run of 4 sequences of 2,048 tokens a step, in the folder `run` beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({
        "run": {"dir": str(path.parent / "run"), "seed": 1, "device": "cpu"},
        "model": model,
        "data": {"tokenizer": str(tokenizer), "train": [{"path": str(dataset)}], "sequence_length": 2048},
        "train": {"max_steps": steps, "global_batch_size": 4, "precision": "bf16"},
    }))


def rates(zebra, tokenizer, dataset, folder):
    """(loaded, trained), in tokens a second."""
    run_file, report = folder / "run.yaml", folder / "step.json"
    write_run_file(run_file, REFERENCE, tokenizer, dataset, steps=100)
    subprocess.run([zebra, "bench", run_file, "--steps", "3", "--warm-up", "1", "--json", report], check=True, capture_output=True, text=True)
    step = json.loads(report.read_text())
    return step["loaded_tokens_per_second"], step["tokens_per_second"]
