"""Makes tests/data/checkpoint-v1: a checkpoint by the trainer, sharded over two ranks, and what must be read from it.

    .venv/bin/python tests/data/make_golden_checkpoint.py

That folder is never made anew: every later build must load what the build of its time wrote. The script is kept to show
where it came from, and as the way to make one for a new format version. It refuses a folder that exists.
"""

import json
import os
import pathlib
import shutil
import subprocess

import numpy
from safetensors import safe_open

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/data/checkpoint-v1"
# The checkpoint's configuration names this folder. It has to exist now, and never again.
WORK = pathlib.Path("/data/golden")
PROMPT, NEW_TOKENS = "seven plus ", 12

RUN_FILE = f"""\
run: {{name: golden, dir: {WORK}/run, seed: 1, device: cpu}}
model: {{hidden_size: 16, intermediate_size: 40, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1,
        attention_pattern: GL, window_size: 8, vocab_size: 300}}
data: {{tokenizer: {WORK}/tok.model, train: [{{path: {WORK}/train}}], validation: [{{path: {WORK}/train}}], sequence_length: 32}}
optimizer: {{lr: 1.0e-2}}
schedule: {{type: constant, warmup_steps: 1}}
train: {{max_steps: 3, global_batch_size: 4, micro_batch_size: 2, precision: fp32}}
parallel: {{sharding: full}}
checkpoint: {{every_steps: 3}}
eval: {{every_steps: 3, max_tokens: 256}}
"""


def zebra(*arguments):
    return subprocess.run([ROOT / "build/zebra", *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True).stdout


def write_corpus(folder):
    words = "zero one two three four five six seven eight nine ten".split()
    sums = [f"{words[a]} plus {words[b]} is {words[a + b]}" for a in range(11) for b in range(11 - a)]
    folder.mkdir(parents=True)
    for number in range(20):
        (folder / f"{number:02}.txt").write_text("\n".join(sums[number:] + sums[:number]))


def checksums(tensor):
    """Of the bits of float32 elements, as whole numbers modulo 2^64: the same in any library, and in any order of adding."""
    bits = tensor.ravel().view(numpy.int32).astype(numpy.int64)
    with numpy.errstate(over="ignore"):
        return int(bits.sum()), int((bits * numpy.arange(1, bits.size + 1)).sum())


def read_group(folder, group):
    """Written without docs/checkpoint-format.md and without the reader that stands there."""
    shapes = {name: record["shape"] for name, record in json.loads((folder / "manifest.json").read_text())["tensors"].items()}
    flat = {name: numpy.full(int(numpy.prod(shape)), numpy.nan, numpy.float32) for name, shape in shapes.items()}
    for path in folder.glob(f"{group}-*.safetensors"):
        with safe_open(path, framework="numpy") as part:
            for key in part.keys():
                name, _, elements = key.rpartition("@")
                begin, end = map(int, elements.split(":"))
                assert numpy.isnan(flat[name][begin:end]).all(), f"{key}: an element is stored twice"
                flat[name][begin:end] = part.get_tensor(key)
    assert not any(numpy.isnan(values).any() for values in flat.values()), "an element is not stored"
    return {name: values.reshape(shapes[name]) for name, values in flat.items()}


def expectations(checkpoint):
    tensors = {}
    for group in ("weights", "exp_avg", "exp_avg_sq"):
        tensors[group] = {}
        for name, tensor in read_group(checkpoint, group).items():
            plain, weighted = checksums(tensor)
            tensors[group][name] = {"shape": list(tensor.shape), "sum": float(tensor.astype(numpy.float64).sum()),
                                    "bits": plain, "weighted_bits": weighted}
    text = zebra("generate", checkpoint, "--prompt", PROMPT, "--max-new-tokens", NEW_TOKENS, "--temperature", 0)
    return {"step": 3, "tensors": tensors, "generate": {"prompt": PROMPT, "max_new_tokens": NEW_TOKENS, "text": text}}


def main():
    for folder in (GOLDEN, WORK):
        if folder.exists():
            raise SystemExit(f"{folder} exists")
    write_corpus(WORK / "corpus")
    zebra("data", "tokenizer", "--input", WORK / "corpus", "--vocab-size", 300, "--output", WORK / "tok.model")
    zebra("data", "pack", "--input", WORK / "corpus", "--tokenizer", WORK / "tok.model", "--output", WORK / "train")
    (WORK / "run.yaml").write_text(RUN_FILE)
    subprocess.run(["bash", ROOT / "scripts/launch/torchrun.sh", "2", WORK / "run.yaml"], check=True,
                   env={**os.environ, "OMP_NUM_THREADS": "1"})
    checkpoint = GOLDEN / "step-00000003"
    GOLDEN.mkdir()
    shutil.copytree(WORK / "run/checkpoints/step-00000003", checkpoint)
    shutil.rmtree(WORK)
    (GOLDEN / "expected.json").write_text(json.dumps(expectations(checkpoint), indent=1) + "\n")


if __name__ == "__main__":
    main()
