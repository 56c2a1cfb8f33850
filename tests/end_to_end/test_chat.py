"""Conversations: tokens and masks are those of transformers, and whole documents train alike however they are divided."""

import json
import random
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, metrics, zebra
from ranks import launch, settings
from test_distributed import assert_close, part_hashes
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

CONVERSATIONS = 100
CONTROL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
# As the models' cards give them, with what is trained marked.
PUBLISHED = {
    "chatml": """{{- bos_token }}{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' }}{%- if m.role == 'assistant' %}"""
              """{% generation %}{{- m.content + '<|im_end|>' }}{% endgeneration %}{%- else %}{{- m.content + '<|im_end|>' }}"""
              """{%- endif %}{{- '\\n' }}{%- endfor %}""",
    "llama3": """{{- bos_token }}{%- for m in messages %}{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' }}"""
              """{%- if m.role == 'assistant' %}{% generation %}{{- m.content | trim + '<|eot_id|>' }}{% endgeneration %}"""
              """{%- else %}{{- m.content | trim + '<|eot_id|>' }}{%- endif %}{%- endfor %}""",
    "llama2": """{%- if messages[0].role == 'system' %}{%- set rest = messages[1:] %}{%- set system = '<<SYS>>\\n' + """
              """messages[0].content | trim + '\\n<</SYS>>\\n\\n' %}{%- else %}{%- set rest = messages %}{%- set system = '' %}"""
              """{%- endif %}{%- for m in rest %}{%- if m.role == 'user' %}{{- bos_token + '[INST] ' + (system if loop.first else '')"""
              """ + m.content | trim + ' [/INST]' }}{%- else %}{% generation %}{{- ' ' + m.content | trim + ' ' + eos_token }}"""
              """{% endgeneration %}{%- endif %}{%- endfor %}""",
    "zephyr": """{{- bos_token }}{%- for m in messages %}{{- '<|' + m.role + '|>\\n' }}{%- if m.role == 'assistant' %}"""
              """{% generation %}{{- m.content + eos_token }}{% endgeneration %}{%- else %}{{- m.content + eos_token }}"""
              """{%- endif %}{{- '\\n' }}{%- endfor %}""",
}
RUN_FILE = """\
run: {{dir: {folder}/run, seed: 1, device: cpu}}
model: {{hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1,
        layer_group_size: 2, window_size: 8}}
data: {{tokenizer: {tokenizer}, train: [{{path: {data}}}], sequence_length: 256, packing: whole, overflow: drop}}
schedule: {{warmup_steps: 2}}
train: {{max_steps: 6, global_batch_size: 4, micro_batch_size: 2, loss_weighting: sequence}}
checkpoint: {{every_steps: 3}}
logging: {{every_steps: 1}}
"""
WORDS = ["zebra", "Zebra's", "naïve", "日本語", "🦓", "Ωmega", "é", "1,234", "don't", "<b>", "x < y", "{bos}", "[INST]", "|>", "", "ﬁ"]


def conversations(count, seed):
    """Of one to five turns, some with a system message, of words with any white space around and between."""
    draw = random.Random(seed)

    def content():
        words = [draw.choice(WORDS) + draw.choice([" ", " ", "\n", "  ", "\n\n", "\t", "\u00a0", ""]) for _ in range(draw.randrange(1, 14))]
        return draw.choice(["", " ", "\n"]) + "".join(words) + "."

    for _ in range(count):
        messages = [{"role": "system", "content": content()}] if draw.random() < 0.4 else []
        for _ in range(draw.randrange(1, 6)):
            messages += [{"role": "user", "content": content()}, {"role": "assistant", "content": content()}]
        yield messages[:-1] if draw.random() < 0.1 and len(messages) > 3 else messages


@pytest.fixture(scope="module")
def chats(shared):
    """chats.jsonl; bpe/tokenizer.json, which has the control tokens of all templates; and piece/tok.model, which has its own."""
    def make(folder):
        rows = list(conversations(CONVERSATIONS, seed=1))
        (folder / "chats.jsonl").write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
        texts = [message["content"] for row in rows for message in row]
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
            vocab_size=600, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=CONTROL))
        tokenizer.add_tokens([AddedToken("<b>", normalized=False)])
        (folder / "bpe").mkdir()
        tokenizer.save(str(folder / "bpe/tokenizer.json"))
        (folder / "bpe/tokenizer_config.json").write_text(json.dumps(
            {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}))
        (folder / "texts.txt").write_text("\n".join(texts * 3))
        zebra("data", "tokenizer", "--input", folder / "texts.txt", "--vocab-size", 400, "--output", folder / "piece.model")
        for name, file in {"bpe": folder / "bpe/tokenizer.json", "piece": folder / "piece.model"}.items():
            zebra("data", "chat", "--input", folder / "chats.jsonl", "--tokenizer", file, "--template", "zephyr", "--output",
                  folder / f"{name}-data")
            (folder / f"{name}-run").mkdir()
            run_file = folder / f"{name}-run/run.yaml"
            run_file.write_text(RUN_FILE.format(folder=folder / f"{name}-run", tokenizer=file, data=folder / f"{name}-data"))
            zebra("train", run_file, "--set", "train.max_steps=1", "--set", "schedule.warmup_steps=0")

    return shared("chats", make)


def documents_of(dataset):
    """(ids, mask) of each document."""
    kind = f"<u{json.loads((dataset / 'dataset.json').read_text())['token_bytes']}"
    tokens, begins = np.fromfile(dataset / "tokens.bin", kind), np.fromfile(dataset / "documents.bin", "<u8")
    mask = np.fromfile(dataset / "loss_mask.bin", "u1")
    return [(tokens[begin:end].tolist(), mask[begin:end].tolist()) for begin, end in zip(begins, begins[1:])]


def rows_of(chats):
    return [json.loads(line)["messages"] for line in (chats / "chats.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", ["bpe", "piece"])
@pytest.mark.parametrize("template", PUBLISHED)
def test_ids_and_masks_are_those_of_transformers(template, kind, tmp_path, chats):
    from transformers import AutoTokenizer

    file = {"bpe": chats / "bpe/tokenizer.json", "piece": chats / "piece.model"}[kind]
    zebra("data", "chat", "--input", chats / "chats.jsonl", "--tokenizer", file, "--template", template, "--output", tmp_path / "data")
    zebra("export", chats / f"{kind}-run/run", "--chat-template", template, "--output", tmp_path / "exported")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "exported")
    ours = documents_of(tmp_path / "data")
    rows = rows_of(chats)
    assert len(ours) == len(rows) == CONVERSATIONS
    for messages, (ids, mask) in zip(rows, ours):
        for jinja in (None, PUBLISHED[template]):  # the export's own, and the published one
            theirs = tokenizer.apply_chat_template(messages, chat_template=jinja, tokenize=True, return_dict=True,
                                                   return_assistant_tokens_mask=True)
            assert theirs["input_ids"] == ids, tokenizer.apply_chat_template(messages, chat_template=jinja, tokenize=False)
            assert theirs["assistant_masks"] == mask
    assert 0.1 < np.mean([counts for _, mask in ours for counts in mask]) < 0.9


def test_an_export_ends_an_answer_where_its_template_does(tmp_path, chats):
    zebra("export", chats / "bpe-run/run", "--chat-template", "chatml", "--output", tmp_path / "exported")
    ids = json.loads((chats / "bpe/tokenizer.json").read_text())["model"]["vocab"]
    assert json.loads((tmp_path / "exported/generation_config.json").read_text())["eos_token_id"] == [ids["</s>"], ids["<|im_end|>"]]
    message = zebra("export", chats / "bpe-run/run", "--chat-template", "chatlm", "--output", tmp_path / "none", status=2)[1]
    assert "chatml, llama2, llama3, zephyr" in message and not (tmp_path / "none").exists()


@pytest.mark.parametrize("template", ["chatml", "llama2"])
def test_the_script_for_jinja_makes_the_same_dataset(template, tmp_path, chats):
    pytest.importorskip("xxhash")
    (tmp_path / "template.jinja").write_text(PUBLISHED[template])
    zebra("data", "chat", "--input", chats / "chats.jsonl", "--tokenizer", chats / "bpe/tokenizer.json", "--template", template,
          "--output", tmp_path / "ours")
    made = script(chats / "chats.jsonl", "--tokenizer", chats / "bpe", "--chat-template", tmp_path / "template.jinja",
                  "--output", tmp_path / "theirs")
    assert documents_of(tmp_path / "theirs") == documents_of(tmp_path / "ours")
    assert made["fingerprint"] == json.loads((tmp_path / "ours/dataset.json").read_text())["fingerprint"]
    assert made["conversations"] == CONVERSATIONS


def script(*arguments, status=0):
    result = subprocess.run([sys.executable, ROOT / "scripts/chat_to_tokens.py", *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == status, result.stderr
    return json.loads(result.stdout) if status == 0 else result.stderr


def test_the_script_refuses_what_it_cannot_train_on(tmp_path, chats):
    pytest.importorskip("xxhash")
    rest = ("--tokenizer", chats / "bpe", "--output", tmp_path / "made")
    (tmp_path / "plain.jinja").write_text(PUBLISHED["chatml"].replace("{% generation %}", "").replace("{% endgeneration %}", ""))
    assert "does not say what is trained" in script(chats / "chats.jsonl", "--chat-template", tmp_path / "plain.jinja", *rest, status=2)
    (tmp_path / "t.jinja").write_text(PUBLISHED["chatml"])
    good = {"messages": [{"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}]}
    bad = [{"messages": good["messages"][:1]}, {"messages": [{"role": "user", "content": "a</s>"}, good["messages"][1]]},
           {"text": "x"}, {"messages": [{**good["messages"][1], "train": False}]}]
    for row, words in zip(bad, ["nothing is trained", "'</s>'", "no list", '"train"']):
        (tmp_path / "bad.jsonl").write_text(json.dumps(good) + "\n" + json.dumps(row) + "\n")
        message = script(tmp_path / "bad.jsonl", "--chat-template", tmp_path / "t.jinja", *rest, status=2)
        assert "bad.jsonl:2" in message and words in message
        assert not (tmp_path / "made").exists()
    (tmp_path / "bad.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [good, *bad]))
    made = script(tmp_path / "bad.jsonl", "--chat-template", tmp_path / "t.jinja", "--skip-bad-lines", *rest)
    assert (made["conversations"], made["skipped"]) == (1, 4)


def test_conversations_that_cannot_be_trained_on(tmp_path, chats):
    (tmp_path / "bad.jsonl").write_text('{"messages": [{"role": "user", "content": "U"}]}\n')
    common = ("data", "chat", "--tokenizer", chats / "bpe/tokenizer.json", "--template", "chatml", "--output", tmp_path / "made")
    message = zebra(*common, "--input", tmp_path / "bad.jsonl", status=2)[1]
    assert "bad.jsonl:1" in message and "nothing is trained" in message and not (tmp_path / "made").exists()
    rows = json.dumps({"instruction": "I", "output": "O <|im_end|>"}) + "\n" + json.dumps(
        {"conversations": [{"from": "human", "value": "H"}, {"from": "gpt", "value": "G"}]}) + "\n"
    out = json.loads(zebra(*common, "--input", "-", "--keep-control-text", "--json", stdin=rows)[0])
    assert out["conversations"] == 2 and out["conversations_with_control_text"] == 1
    assert "spells the control token" in zebra(*common, "--input", "-", "--overwrite", stdin=rows, status=2)[1]
    shown = zebra("data", "show", tmp_path / "made", "--sample", 1, "--tokenizer", chats / "bpe/tokenizer.json")[0]
    assert "target" in shown and "input" in shown


def test_whole_documents_are_shown_and_counted(tmp_path, chats):
    run_file = chats / "bpe-run/run.yaml"
    documents = documents_of(chats / "bpe-data")

    def ids_by_document(number):
        shown = zebra("data", "show", chats / "bpe-data", "--sample", number, "--as-trained", run_file, "--json")[0]
        ids = {}
        for part in json.loads(shown)["runs"]:
            ids.setdefault(part["document"], []).extend(part["ids"])
        return ids

    by_document = next(ids for ids in map(ids_by_document, range(20)) if len(ids) > 1)
    assert sum(len(ids) - 1 for ids in by_document.values()) <= 256
    assert all(documents[number][0] == ids for number, ids in by_document.items())
    plan = json.loads(zebra("plan", run_file, "--json")[0])["data"][0]["packing"]
    lengths = [len(ids) for ids, _ in documents]
    fitting = [length for length in lengths if length <= 257]
    assert plan["documents"] == len(fitting) and plan["documents_too_long"] == len(lengths) - len(fitting) > 0
    assert plan["padding_tokens"] == plan["samples"] * 256 - sum(length - 1 for length in fitting)
    assert "longer than a sample left out" in zebra("train", run_file, "--dry-run", "--set", "run.dir=" + str(tmp_path / "run"))[0]
    message = zebra("train", run_file, "--dry-run", "--set", "data.overflow=error", "--set", f"run.dir={tmp_path / 'run'}", status=2)[1]
    assert f"{len(lengths) - len(fitting)} of its documents" in message and f"data.sequence_length to {max(lengths) - 1}" in message


@pytest.mark.parametrize("weighting", ["token", "sequence"])
def test_ranks_micro_batches_and_going_on_change_nothing(weighting, tmp_path, chats):
    run_file = chats / "bpe-run/run.yaml"
    common = [f"train.loss_weighting={weighting}"]
    zebra("train", run_file, *settings([*common, f"run.dir={tmp_path / 'straight'}"]))
    zebra("train", run_file, *settings([*common, f"run.dir={tmp_path / 'stopped'}"]), "--stop-after", 3)
    plans = list((tmp_path / "stopped/packing").iterdir())
    assert len(plans) == 1
    zebra("train", run_file, *settings([*common, f"run.dir={tmp_path / 'stopped'}"]))
    assert metrics(tmp_path / "stopped") == metrics(tmp_path / "straight")
    assert part_hashes(tmp_path / "stopped", 6) == part_hashes(tmp_path / "straight", 6)
    zebra("train", run_file, *settings([*common, f"run.dir={tmp_path / 'one'}", "train.micro_batch_size=1"]))
    launch("mpirun", 2, run_file, *common, f"run.dir={tmp_path / 'ranks'}", "parallel.sharding=full")
    for name in ("one", "ranks"):
        assert_close(metrics(tmp_path / name), metrics(tmp_path / "straight"))
