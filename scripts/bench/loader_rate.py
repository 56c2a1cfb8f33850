"""How many tokens a second training reads, with a model of nearly no size and with the reference model."""

import json
import subprocess

SMALLEST = {"hidden_size": 2, "intermediate_size": 2, "num_hidden_layers": 1, "num_attention_heads": 1,
            "self_attn_type": "local", "window_size": 1}
REFERENCE = {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 6, "num_attention_heads": 8,
             "num_key_value_heads": 4, "layer_group_size": 3, "window_size": 256}
WARMUP = 2


def training_rate(zebra, model, tokenizer, dataset, folder, steps, precision):
    """Tokens a second of the steps behind a warm-up, in steps of 4 sequences of 2,048 tokens. `folder` must not exist."""
    folder.mkdir(parents=True)
    run_file = folder / "run.yaml"
    run_file.write_text(json.dumps({
        "run": {"dir": str(folder / "run"), "seed": 1, "device": "cpu"},
        "model": model,
        "data": {"tokenizer": str(tokenizer), "train": [{"path": str(dataset)}], "sequence_length": 2048},
        "train": {"max_steps": WARMUP + steps, "global_batch_size": 4, "precision": precision},
        "logging": {"every_steps": 1},
    }))
    subprocess.run([zebra, "train", run_file], check=True, capture_output=True, text=True)
    rows = map(json.loads, (folder / "run/metrics.jsonl").read_text().splitlines())
    seconds = [1 / row["tokens_per_second"] for row in rows if row["step"] > WARMUP]
    return len(seconds) / sum(seconds)
