"""tokenizer.json: ids and texts are those of the package `tokenizers`, and every command works with it."""

import json
import random
import subprocess
import sys
import unicodedata
import zipfile

import numpy as np
import pytest
from conftest import BUILD, LONG, ROOT, zebra
from tokenizer_files import END, EXPRESSIONS, adversarial_texts, of_tiktoken, opened, write_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEXTS = 10_000
MODELS = {"llama3": {"ignore_merges": True}}  # as Llama 3 has it
RUN_FILE = """\
run: {{dir: {folder}/run, seed: 1, device: cpu}}
model: {{hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1,
        layer_group_size: 2, window_size: 8}}
data: {{tokenizer: {tokenizer}, train: [{{path: {folder}/train}}], validation: [{{path: {folder}/train}}], sequence_length: 32}}
train: {{max_steps: 2, global_batch_size: 2, micro_batch_size: 2}}
checkpoint: {{every_steps: 2}}
eval: {{every_steps: 2, max_tokens: 256}}
"""


def converted(tokenizer, values):
    """Ids of texts and texts of ids by our own tokenizer."""
    lines = "".join(json.dumps(value) + "\n" for value in values)
    result = subprocess.run([BUILD / "tests/zebra_tokenize_lines", tokenizer], input=lines, capture_output=True, text=True,
                            check=True, timeout=300)
    return [json.loads(line) for line in result.stdout.split("\n")[:-1]]


def require_alike(path, texts):
    theirs = opened(path)
    expected = [encoded.ids for encoded in theirs.encode_batch_fast(texts, add_special_tokens=False)]
    for text, ids, wanted in zip(texts, converted(path, texts), expected, strict=True):
        assert ids == wanted, f"{text!r}: {[theirs.id_to_token(i) for i in ids]}, not {[theirs.id_to_token(i) for i in wanted]}"
    draw = random.Random(5)
    cut = [ids[draw.randrange(len(ids) + 1):] for ids in expected]  # often within a character
    drawn = [[draw.randrange(theirs.get_vocab_size()) for _ in range(draw.randrange(12))] for _ in range(2000)]
    for ids, text in zip(cut + drawn, converted(path, cut + drawn), strict=True):
        assert text == theirs.decode(ids, skip_special_tokens=True), ids


@pytest.fixture(scope="module")
def training_texts():
    sources = [path.read_text() for path in sorted((ROOT / "scripts").glob("*.py"))[:12]]
    return [*sources, *adversarial_texts(3000, seed=2)]


@pytest.mark.parametrize("pattern", EXPRESSIONS)
def test_ids_and_texts_are_those_of_tokenizers(pattern, tmp_path, training_texts):
    write_tokenizer(tmp_path, pattern, training_texts, 900, **MODELS.get(pattern, {}))
    long = [training_texts[0], "a" * 3000, "ab" * 2000 + "c", " " * 500 + "\n" * 300 + "x", "\u0301" * 200, "9" * 1000, "字" * 700]
    require_alike(tmp_path / "tokenizer.json", ["", *long, *adversarial_texts(TEXTS, seed=3)])


def test_every_character_in_every_neighbourhood(tmp_path, training_texts):
    """Classes and composition of all code points."""
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    for pattern in ("o200k", "deepseek", "qwen2"):
        write_tokenizer(tmp_path / pattern, pattern, training_texts[:20])
        interesting = [c for c in characters if unicodedata.category(c) not in ("Co", "Cn")] + characters[0xE0000:0xE0200]
        shapes = ("a{}b", " {} ", "A{}'s", "1{}\n") if pattern != "qwen2" else ("e{}\u0323\u0301", "\u0915{}\u093c")
        # Others than the letters of the great scripts, where one of many is enough.
        few = [c for i, c in enumerate(interesting) if ord(c) < 0x3400 or ord(c) > 0xFA00 or i % 50 == 0]
        texts = ["|".join(shape.format(c) for c in few[i:i + 40]) for shape in shapes for i in range(0, len(few), 40)]
        require_alike(tmp_path / pattern / "tokenizer.json", texts)


def test_the_tables_are_those_of_the_package():
    made = subprocess.run([sys.executable, ROOT / "scripts/unicode_tables.py"], capture_output=True, text=True, check=True).stdout
    assert made.splitlines()[1:] == (ROOT / "src/data/unicode_tables.cpp").read_text().splitlines()[1:]


def packed(folder, texts, tokenizer):
    source = folder / "texts.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    zebra("data", "pack", "--input", source, "--tokenizer", tokenizer, "--output", folder / "train")
    return source


def script(*arguments, status=0):
    result = subprocess.run([sys.executable, ROOT / "scripts/tokenize_text.py", *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == status, result.stderr
    return json.loads(result.stdout) if status == 0 else result.stderr


@pytest.mark.parametrize("pattern", ["qwen2", "deepseek"])
def test_packing_and_the_script_make_the_same_dataset(pattern, tmp_path, training_texts):
    pytest.importorskip("xxhash")
    theirs = write_tokenizer(tmp_path, pattern, training_texts)
    texts = adversarial_texts(500, seed=4) + [training_texts[0] * 40]
    source = packed(tmp_path, texts, tmp_path / "tokenizer.json")
    made = script(source, "--tokenizer", tmp_path / "tokenizer.json", "--output", tmp_path / "theirs")
    ours = json.loads((tmp_path / "train/dataset.json").read_text())
    assert made["fingerprint"] == ours["fingerprint"]
    tokens = np.fromfile(tmp_path / "train/tokens.bin", dtype="<u2")
    begin, end = np.fromfile(tmp_path / "train/documents.bin", dtype="<u8")[:2]
    eos = theirs.token_to_id(END)
    assert tokens[begin] == tokens[end - 1] == eos  # the tokenizer has no BOS
    first = next(text for text in texts if text)
    assert list(tokens[begin + 1:end - 1]) == theirs.encode(first, add_special_tokens=False).ids


def test_a_run_carries_its_tokenizer_from_text_to_export_and_back(tmp_path, training_texts):
    write_tokenizer(tmp_path / "tok", "llama3", training_texts, 700, ignore_merges=True)
    tokenizer = tmp_path / "tok/tokenizer.json"
    packed(tmp_path, [text for text in training_texts[:40] if text], tokenizer)
    (tmp_path / "run.yaml").write_text(RUN_FILE.format(folder=tmp_path, tokenizer=tokenizer))
    zebra("train", tmp_path / "run.yaml")
    names = ("tokenizer.json", "tokenizer_config.json")
    for folder in (tmp_path / "run", tmp_path / "run/checkpoints/step-00000002"):
        assert all((folder / name).read_bytes() == (tokenizer.parent / name).read_bytes() for name in names)
        assert not (folder / "tokenizer.model").exists()
    assert zebra("generate", tmp_path / "run", "--prompt", "def ", "--temperature", 0, "--max-new-tokens", 8)[0].startswith("def ")
    zebra("eval", tmp_path / "run", "--lengths", 32, "--json", tmp_path / "eval.json")
    assert json.loads((tmp_path / "eval.json").read_text())["bits_per_byte"] > 0
    zebra("data", "probes", "--tokenizer", tokenizer, "--length", 128, "--window", 8, "--layers", 4, "--sequences", 20,
          "--output", tmp_path / "probes")
    zebra("export", tmp_path / "run", "--output", tmp_path / "exported")
    assert all((tmp_path / "exported" / name).read_bytes() == (tokenizer.parent / name).read_bytes() for name in names)
    zebra("import", tmp_path / "exported", "--output", tmp_path / "imported")
    assert (tmp_path / "imported/tokenizer.json").read_bytes() == tokenizer.read_bytes()
    zebra("generate", tmp_path / "imported", "--prompt", "def ", "--max-new-tokens", 2)
    zebra("checkpoint", "fork", tmp_path / "run/checkpoints/step-00000002", "--output", tmp_path / "forked")
    assert (tmp_path / "forked/tokenizer.json").read_bytes() == tokenizer.read_bytes()


def test_other_tokenizers_are_for_runs_on_tokens_only(tmp_path):
    pytest.importorskip("xxhash")
    word = Tokenizer(models.WordLevel(unk_token="<unk>"))
    word.pre_tokenizer, word.decoder = pre_tokenizers.Whitespace(), decoders.WordPiece()
    texts = ["one two three four five six seven eight nine ten " * 20] * 6
    word.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=["<unk>", "<s>", "</s>"], show_progress=False))
    word.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": {"content": "</s>"}}))
    source = tmp_path / "texts.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    message = zebra("data", "pack", "--input", source, "--tokenizer", tmp_path / "tokenizer.json", "--output", tmp_path / "none",
                    status=2)[1]
    assert "its model is WordLevel" in message and "scripts/tokenize_text.py" in message
    assert not (tmp_path / "none").exists()
    script(source, "--tokenizer", tmp_path / "tokenizer.json", "--output", tmp_path / "train")
    (tmp_path / "run.yaml").write_text(RUN_FILE.format(folder=tmp_path, tokenizer=tmp_path / "tokenizer.json"))
    zebra("train", tmp_path / "run.yaml")
    assert "its model is WordLevel" in zebra("generate", tmp_path / "run", "--prompt", "one", status=2)[1]


@pytest.mark.parametrize("damage, words", [
    (lambda file: file["model"].pop("vocab"), "has no vocab"),
    (lambda file: file["model"]["merges"].append(["qq", "zz"]), "which its vocab lacks"),
    (lambda file: file.pop("model"), "has no model")])
def test_broken_files_are_refused(damage, words, tmp_path, training_texts):
    write_tokenizer(tmp_path, "gpt2", training_texts[:5])
    file = json.loads((tmp_path / "tokenizer.json").read_text())
    damage(file)
    (tmp_path / "tokenizer.json").write_text(json.dumps(file))
    (tmp_path / "texts.jsonl").write_text('{"text": "a"}\n')
    message = zebra("data", "pack", "--input", tmp_path / "texts.jsonl", "--tokenizer", tmp_path / "tokenizer.json",
                    "--output", tmp_path / "none", status=2)[1]
    assert words in message and str(tmp_path / "tokenizer.json") in message


def test_the_script_names_what_is_wrong(tmp_path, training_texts):
    pytest.importorskip("xxhash")
    write_tokenizer(tmp_path, "gpt2", training_texts[:5])
    (tmp_path / "texts.jsonl").write_text('{"text": "a"}\n{"other": 1}\n')
    rest = ("--tokenizer", tmp_path / "tokenizer.json", "--output", tmp_path / "made")
    assert "texts.jsonl, line 2" in script(tmp_path / "texts.jsonl", *rest, status=2)
    assert not (tmp_path / "made").exists()
    (tmp_path / "tokenizer_config.json").unlink()
    assert "which token ends a document" in script(tmp_path / "texts.jsonl", *rest, status=2)


def test_parquet(tmp_path, training_texts):
    pytest.importorskip("xxhash")
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    write_tokenizer(tmp_path, "gpt2", training_texts[:5])
    texts = [text for text in adversarial_texts(50, seed=6) if text]
    parquet.write_table(pyarrow.table({"body": texts}), tmp_path / "texts.parquet")
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"body": text}) + "\n" for text in texts))
    made = [script(tmp_path / name, "--field", "body", "--tokenizer", tmp_path / "tokenizer.json", "--output", tmp_path / name.split(".")[1])
            for name in ("texts.parquet", "texts.jsonl")]
    assert made[0]["fingerprint"] == made[1]["fingerprint"]


# By the names of the files in the package litellm.
VOCABULARIES = {"deepseek_tokenizer.json": "deepseek", "9b5ad71b2ce5302211f9c61530b329a4922fc6a4": "llama3",
                "fb374d419588a4632f3f557e76b4b70aebbca790": "o200k", "ec7223a39ce59f226a68acc30dc1af2788490e15": "gpt2"}


@pytest.mark.skipif(not LONG, reason="fetches 44 MB from PyPI and builds merges of 400,000 tokens: ZEBRA_LONG_TESTS=1")
def test_real_vocabularies(tmp_path):
    """DeepSeek's own file, and cl100k, o200k and p50k."""
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", tmp_path, "litellm==1.110.2"], check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        for name in wheel.namelist():
            if (base := name.rsplit("/", 1)[-1]) in VOCABULARIES:
                (tmp_path / base).write_bytes(wheel.read(name))
    sources = [path.read_text() for path in (ROOT / "scripts").rglob("*.py")]
    for name, pattern in VOCABULARIES.items():
        folder = tmp_path / pattern
        folder.mkdir()
        if name.endswith(".json"):
            (folder / "tokenizer.json").write_bytes((tmp_path / name).read_bytes())
            end = "<｜end▁of▁sentence｜>"
        else:
            of_tiktoken(tmp_path / name, pattern).save(str(folder / "tokenizer.json"))
            end = END
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": end}))
        require_alike(folder / "tokenizer.json", [*sources, *adversarial_texts(TEXTS, seed=7)])
