#!/usr/bin/env python3
"""Makes a token dataset of conversations with a chat template of HuggingFace, in Jinja, whatever it does.

    python scripts/chat_to_tokens.py chats.jsonl --tokenizer model/ --chat-template training.jinja --output data/chats

For templates that `zebra data chat` has no form for: tools, thoughts that are left out of earlier turns, dates. The template must
mark what is trained with {% generation %} and {% endgeneration %}; those that come with models mostly do not. A line is an object
with "messages" (or "conversations"), and perhaps "tools", which go to apply_chat_template as they are; each conversation becomes a
document with exactly the tokens that it gives. Conversations of which nothing is trained, and those whose text spells a special
token, which would become that token, are refused, or with --skip-bad-lines counted and left out.

Needs the packages transformers, jinja2, numpy and xxhash.
"""

import argparse
import json
import pathlib
import re
import sys

from tokenize_text import ChunkedFile, InputError, Vocabulary, lines_of, made_dataset, needed, token_type, write_description

LIST_NAMES = ("messages", "conversations")


class BadLine(Exception):
    """Why a line is no conversation that can be trained on."""


def strings_in(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings_in(inner)


class Renderer:
    def __init__(self, folder, template_file):
        transformers = needed("transformers", "a chat template")
        transformers.logging.set_verbosity_error()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        template = template_file.read_text() if template_file else self.tokenizer.chat_template
        name = template_file or f"the tokenizer of {folder}"
        if not template:
            raise InputError(f"{name}: has no chat template; give one with --chat-template")
        if not re.search(r"\{%-?\s*generation\b", template):
            raise InputError(f"{name}: the template does not say what is trained: put {{% generation %}} before and "
                             "{% endgeneration %} behind what an assistant writes")
        self.template = template
        special = {number: token.content for number, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        self.special_bytes = {number: len(content.encode()) for number, content in special.items()}
        names = sorted(special.values(), key=len, reverse=True)
        self.spelled = re.compile("|".join(map(re.escape, names))) if names else None

    def encode(self, row):
        """Ids, for each whether it is trained, and the bytes of text between special tokens."""
        messages = next((row[name] for name in LIST_NAMES if isinstance(row, dict) and name in row), None)
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise BadLine('holds no list "messages"')
        if any("train" in message or "weight" in message for message in messages):
            raise BadLine('has a message with "train" or "weight", which a template of Jinja knows nothing of; zebra data chat does')
        for text in strings_in(messages):
            if self.spelled and (found := self.spelled.search(text)):
                raise BadLine(f"holds a conversation whose text spells the special token {found.group()!r}")
        try:
            template = {"tools": row.get("tools") or None, "chat_template": self.template}
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, **template)
            encoded = self.tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True,
                                                         return_assistant_tokens_mask=True, **template)
        except Exception as error:  # whatever the template raises
            raise BadLine(f"does not fit the template: {error}") from None
        ids, trained = encoded["input_ids"], encoded["assistant_masks"]
        if not any(trained):
            raise BadLine("holds a conversation of which nothing is trained")
        return ids, trained, len(text.encode()) - sum(self.special_bytes.get(number, 0) for number in ids)


def write_chats(folder, arguments, renderer, vocabulary):
    import numpy as np

    files = {name: ChunkedFile(folder / name) for name in ("tokens.bin", "documents.bin", "loss_mask.bin")}
    count = number = targets = text_bytes = skipped = 0
    for name in arguments.inputs:
        file = sys.stdin.buffer if name == "-" else open(name, "rb")
        for place, line in enumerate(lines_of(name, file), 1):
            if not line.strip():
                continue
            try:
                ids, trained, own_bytes = renderer.encode(json.loads(line))
            except (BadLine, ValueError) as error:
                if arguments.skip_bad_lines:
                    skipped += 1
                    continue
                raise InputError(f"{name}:{place}: the line {error}. Mend it, or leave such lines out with "
                                 "--skip-bad-lines.") from None
            files["documents.bin"].write(np.array([count], dtype="<u8").tobytes())
            files["tokens.bin"].write(np.array(ids, dtype=token_type(vocabulary)).tobytes())
            files["loss_mask.bin"].write(bytes(trained))
            count, number, targets, text_bytes = count + len(ids), number + 1, targets + sum(trained), text_bytes + own_bytes
    if number == 0:
        raise InputError("the inputs hold no conversation that can be trained on")
    files["documents.bin"].write(np.array([count], dtype="<u8").tobytes())
    finished = {name: file.finish() for name, file in files.items()}
    if targets == count:  # a mask is there only where some token does not count
        finished.pop("loss_mask.bin")
        (folder / "loss_mask.bin").unlink()
    description = write_description(folder, vocabulary, count, number, text_bytes, finished)
    return {"conversations": number, "tokens": count, "trained_tokens": targets, "skipped": skipped,
            "fingerprint": description["fingerprint"]}


def run(arguments):
    folder = pathlib.Path(arguments.tokenizer)
    folder = folder.parent if folder.is_file() else folder
    if not (folder / "tokenizer.json").is_file():
        raise InputError(f"{folder}: holds no tokenizer.json")
    missing = [name for name in arguments.inputs if name != "-" and not pathlib.Path(name).is_file()]
    if missing:
        raise InputError("; ".join(f"{name}: there is no such file" for name in missing))
    template_file = pathlib.Path(arguments.chat_template) if arguments.chat_template else None
    if template_file and not template_file.is_file():
        raise InputError(f"{template_file}: there is no such file")
    renderer, vocabulary = Renderer(folder, template_file), Vocabulary(folder / "tokenizer.json")
    report = made_dataset(arguments.output, arguments.overwrite,
                          lambda partial: write_chats(partial, arguments, renderer, vocabulary))
    print(json.dumps({"path": arguments.output.rstrip("/"), **report}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", metavar="FILE", help="JSONL (plain, gzip, zstd), or - for standard input")
    parser.add_argument("--tokenizer", required=True, metavar="DIR", help="folder of tokenizer.json and tokenizer_config.json")
    parser.add_argument("--chat-template", metavar="FILE", help="template in Jinja; by default the tokenizer's own")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the new dataset")
    parser.add_argument("--skip-bad-lines", action="store_true", help="count and leave out what cannot be trained on")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it is a token dataset")
    try:
        run(parser.parse_args())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
