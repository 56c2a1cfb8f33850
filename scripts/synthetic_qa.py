#!/usr/bin/env python3
"""Writes questions about long contexts whose answers are exact, one line of JSONL each, to standard output: no download, no model.

    python scripts/synthetic_qa.py --examples 2000 --bytes 40000 --seed 1 > questions.jsonl

Contexts are source of Python's standard library, read by `ast`, or lines of keys and values. What a question asks for stands at a
distance from the end of the prompt that is drawn evenly on a logarithmic scale; names asked for are made up, so that no model
knows them from elsewhere. A share of the examples is short, so that a model does not forget short ones.

Each line holds "prompt" and "completion", which `zebra data pack` reads, or "messages" with --messages, and beside them
"kind", "evidence" (byte of the prompt at which the farthest line that is needed begins), and "guesses": what strategies that
never look a name up would answer, which `zebra eval --answers` puts beside the model. The same options give the same bytes.
"""

import argparse
import ast
import collections
import dataclasses
import json
import pathlib
import random
import re
import sys
import sysconfig

from python_corpus import HELD_OUT_EVERY, source_files

SHORTEST = 400  # bytes of a prompt
LONGEST_ANSWER = 48  # bytes: what a model copies, not how long it can go on, is asked for
MOST_PIECES = 4  # of a module that stand together
WORD = re.compile(r"(?<![a-z])[a-z]{3,8}(?![a-z])")


@dataclasses.dataclass(frozen=True)
class Fact:
    """What a line of source says of a name: `NAME(a, b)`, or `NAME = 260`."""
    kind: str
    name: str
    tail: str  # of the answer, behind the name


@dataclasses.dataclass(frozen=True)
class Piece:
    """Some lines of a module that belong together, and what the first of them says, if anything that is asked for."""
    text: str
    fact: Fact | None


@dataclasses.dataclass(frozen=True)
class Module:
    name: str
    pieces: list


@dataclasses.dataclass(frozen=True)
class Question:
    """`blocks`: the texts that hold the answer, with the one that is to be the farthest first."""
    kind: str
    text: str
    answer: str
    blocks: list
    filler: object  # function of (bytes, draw): text of whole lines, at most so many bytes, with other answers
    candidates: object  # function of a context: the answers that it could be taken to give, in order


DEFINITION = re.compile(r"^[ ]*def \w+(\(.+\)):", re.MULTILINE)
CONSTANT = re.compile(r"^\w+( = (?:-?\d[\w.]*|'[^'\n]*'|\"[^\"\n]*\"))$", re.MULTILINE)
HEADER = re.compile(r"^# module ([\w.]+)$", re.MULTILINE)
PAIR = re.compile(r"^\w+(: (?!see )\w+)$", re.MULTILINE)
WHOLE_CONSTANT = re.compile(r"^(\w+ = (?:-?\d[\w.]*|'[^'\n]*'|\"[^\"\n]*\"))$", re.MULTILINE)
WHOLE_PAIR = re.compile(r"^(\w+: (?!see )\w+)$", re.MULTILINE)


def is_asked_for(tail):
    return tail not in ("(self)", "(cls)") and len(tail.encode()) <= LONGEST_ANSWER


def whole_lines(text, size):
    """As many lines from the start as fit into `size` bytes."""
    encoded = text.encode()
    if len(encoded) <= size:
        return text
    head, newline, _ = encoded[:max(size, 0)].decode(errors="ignore").rpartition("\n")
    return head + newline


def first_lines(text, size):
    """The same, but one line at least, without the last newline."""
    return (whole_lines(text + "\n", size) or text.partition("\n")[0]).rstrip("\n")


def fact_of(line):
    """What a line says that can be asked for: a function with arguments, or a constant."""
    definition = re.fullmatch(r"[ ]*(?:async )?def (\w+)(\(.+\))(?: -> .*)?:", line)
    if definition and is_asked_for(definition[2]):
        return Fact("arguments", definition[1], definition[2])
    constant = re.match(r"(\w+)", line)
    if constant and (tail := CONSTANT.match(line)) and is_asked_for(tail[1]):
        return Fact("constant", constant[1], tail[1])
    return None


def pieces_of(lines, nodes):
    """Functions, methods and other statements in order, each with the blank lines behind it taken off."""
    for node in nodes:
        body = [part for part in getattr(node, "body", []) if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef))]
        if isinstance(node, ast.ClassDef) and body:
            first = min([body[0].lineno, *(one.lineno for one in body[0].decorator_list)])
            yield "\n".join(lines[node.lineno - 1:first - 1]).rstrip(), None
            yield from pieces_of(lines, body)
            continue
        text = "\n".join(lines[node.lineno - 1:node.end_lineno]).rstrip()
        has_fact = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Assign))
        yield text, fact_of(lines[node.lineno - 1].rstrip()) if has_fact else None


def modules_of(part):
    """The modules of one part of what python_corpus.py makes: `train`, or `valid`, which is every twentieth."""
    root = pathlib.Path(sysconfig.get_paths()["stdlib"])
    modules = []
    for index, path in enumerate(source_files(root)):
        if (index % HELD_OUT_EVERY == HELD_OUT_EVERY - 1) != (part == "valid"):
            continue
        text = path.read_text(encoding="utf-8")
        try:
            tree = ast.parse(text)
        except SyntaxError:  # a template, or of another version
            continue
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        pieces = [Piece(*piece) for piece in pieces_of(text.splitlines(), tree.body) if piece[0]]
        if pieces:
            modules.append(Module(name, pieces))
    return modules


class Source:
    """Contexts of Python source."""

    def __init__(self, part):
        self.modules = modules_of(part)
        self.facts = collections.defaultdict(list)
        for module in self.modules:
            for index, piece in enumerate(module.pieces):
                if piece.fact:
                    self.facts[piece.fact.kind].append((module, index))
        counts = collections.Counter(word for module in self.modules for piece in module.pieces if piece.fact
                                     for word in WORD.findall(piece.fact.name.lower()))
        self.words = sorted(word for word, count in counts.items() if count > 1)

    def name(self, draw, like=""):
        """A name that nothing has, written as such names are."""
        words = draw.sample(self.words, 2)
        return "_".join(words).upper() if like.isupper() else "_".join(words)

    def renamed(self, piece, name, longest):
        """The piece, cut, with the name instead of its own."""
        text = re.sub(rf"\b{re.escape(piece.fact.name)}\b", lambda _: name, piece.text) if piece.fact else piece.text
        return first_lines(text, longest) + "\n\n"

    def block(self, module, piece, name, longest):
        return f"# module {module.name}\n{self.renamed(piece, name, longest)}"

    def filler_around(self, kind, longest):
        """Runs of pieces from modules, each from a fact of that kind on. They are renamed as well: nothing but its name tells the
        piece that is asked for from them."""
        def filler(size, draw):
            runs = []
            while size > 0:
                module, first = draw.choice(self.facts[kind])
                pieces = module.pieces[first:first + draw.randint(1, MOST_PIECES)]
                text = f"# module {module.name}\n" + "".join(
                    self.renamed(piece, self.name(draw, piece.fact.name) if piece.fact else None, longest) for piece in pieces)
                runs.append(whole_lines(text, size))
                size -= len(text.encode())
            return "".join(runs)
        return filler


# Each makes a question whose pieces, and those around it, have at most some `longest` bytes.

def chosen(source, kind, draw):
    module, index = draw.choice(source.facts[kind])
    return module, module.pieces[index], source.name(draw, module.pieces[index].fact.name)


def ask_arguments(source, draw, longest):
    module, piece, name = chosen(source, "arguments", draw)
    return Question("arguments", f"Which arguments does {name} take?", name + piece.fact.tail,
                    [source.block(module, piece, name, longest)], source.filler_around("arguments", longest),
                    lambda context: [name + tail for tail in DEFINITION.findall(context) if is_asked_for(tail)])


def ask_constant(source, draw, longest):
    module, piece, name = chosen(source, "constant", draw)
    return Question("constant", f"What is the value of {name}?", name + piece.fact.tail,
                    [source.block(module, piece, name, longest)], source.filler_around("constant", longest),
                    lambda context: [name + tail for tail in CONSTANT.findall(context)])


def ask_module(source, draw, longest):
    kind = draw.choice(["arguments", "constant"])
    module, piece, name = chosen(source, kind, draw)
    return Question("module", f"Which module defines {name}?", module.name, [source.block(module, piece, name, longest)],
                    source.filler_around(kind, longest), HEADER.findall)


def ask_alias(source, draw, longest):
    """Two hops: from an alias, a line that is put into the source, to a constant."""
    module, piece, name = chosen(source, "constant", draw)
    alias = source.name(draw, piece.fact.name)
    blocks = [source.block(module, piece, name, longest), f"{alias} = {name}\n\n"]
    draw.shuffle(blocks)
    return Question("alias", f"What is the value of {alias}?", f"{alias} = {name}{piece.fact.tail}", blocks,
                    source.filler_around("constant", longest),
                    lambda context: [f"{alias} = {found}" for found in WHOLE_CONSTANT.findall(context)])


def pairs(source):
    def filler(size, draw):
        lines = []
        while sum(map(len, lines)) < size:
            lines.append(f"{source.name(draw)}: {draw.choice(source.words)}\n")
        return "".join(lines[:-1])
    return filler


def ask_key(source, draw, longest):
    name = source.name(draw)
    answer = f"{name}: {draw.choice(source.words)}"
    return Question("key", f"What is the value of {name}?", answer, [answer + "\n"], pairs(source),
                    lambda context: [name + tail for tail in PAIR.findall(context)])


def ask_linked_key(source, draw, longest):
    """Two hops: from a key that names another to that one's value."""
    first, second = source.name(draw), source.name(draw)
    pair = f"{second}: {draw.choice(source.words)}"
    blocks = [f"{first}: see {second}\n", pair + "\n"]
    draw.shuffle(blocks)
    return Question("linked_key", f"What is the value of {first}?", f"{first}: see {pair}", blocks, pairs(source),
                    lambda context: [f"{first}: see {found}" for found in WHOLE_PAIR.findall(context)])


KINDS = {"arguments": ask_arguments, "constant": ask_constant, "module": ask_module, "alias": ask_alias, "key": ask_key,
         "linked_key": ask_linked_key}


def put_between(text, block, draw):
    """The block within the text, in front of a line that is not indented."""
    starts = [match.start() for match in re.finditer(r"^\S", text, re.MULTILINE)]
    at = draw.choice([*starts, len(text)])
    return text[:at] + block + text[at:]


def context_of(question, length, distance, draw):
    """A context of some `length` bytes, of which the last `distance` begin with the farthest block."""
    far, *near = question.blocks
    behind = question.filler(distance - sum(len(block.encode()) for block in question.blocks), draw)
    for block in near:
        behind = put_between(behind, block, draw)
    before = question.filler(length - len((far + behind).encode()), draw)
    return before + far + behind, len(before.encode())


def evenly_by_octave(draw, low, high):
    """An integer from low to high, each factor as likely as any other."""
    return round(low * (max(high, low) / low) ** draw.random())


def guesses_of(question, context):
    """Strategies that do not look the name up, as far as there is more than one candidate to choose from."""
    candidates = question.candidates(context)
    if not candidates:
        return {}
    counts = collections.Counter(candidates)
    return {"newest": candidates[-1], "oldest": candidates[0], "commonest": counts.most_common(1)[0][0]}


def example(source, options, index):
    draw = random.Random(f"{options.seed} {options.part} {index}")
    kind = KINDS[draw.choice(options.kinds)]
    length = options.bytes
    if draw.random() < options.short:
        shortest = min(SHORTEST, options.bytes)
        length = evenly_by_octave(draw, shortest, max(shortest, options.bytes // 4))
    question = kind(source, draw, length // 8)
    end = f"\nQuestion: {question.text}\nAnswer: "
    room = length - len(end)
    nearest = sum(len(block.encode()) for block in question.blocks)
    distance = evenly_by_octave(draw, max(nearest, options.distance[0] - len(end)), min(room, options.distance[1] - len(end)))
    context, evidence = context_of(question, room, distance, draw)
    row = {"kind": question.kind, "evidence": evidence, "guesses": guesses_of(question, context)}
    if options.messages:
        messages = [{"role": "user", "content": context + end.removesuffix("\nAnswer: ")},
                    {"role": "assistant", "content": question.answer}]
        return {"messages": messages, **row}
    return {"prompt": context + end, "completion": question.answer, **row}


def range_of(text):
    low, high = map(int, text.split(","))
    if not 0 <= low <= high:
        raise ValueError
    return low, high


def parsed_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, required=True, metavar="N")
    parser.add_argument("--bytes", type=int, required=True, metavar="N", help="of a long prompt; source has some 3 to 4 bytes a token")
    parser.add_argument("--short", type=float, default=0.2, metavar="SHARE", help="of examples of at most a quarter of that (0.2)")
    parser.add_argument("--distance", type=range_of, default=(0, sys.maxsize), metavar="MIN,MAX",
                        help="bytes from the farthest line that is needed to the end of the prompt; all that fit by default")
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=list(KINDS), metavar="KIND,…",
                        help=f"of questions; all by default: {','.join(KINDS)}")
    parser.add_argument("--part", choices=["train", "valid"], default="train",
                        help="modules to ask about: those that scripts/python_corpus.py holds out are `valid`")
    parser.add_argument("--messages", action="store_true", help="turns of a conversation instead of prompt and completion")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"--kinds: there is no kind {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    if options.bytes < SHORTEST:
        parser.error(f"--bytes: {options.bytes} leave no room for a context; give {SHORTEST} or more")
    if not 0 <= options.short <= 1:
        parser.error("--short: give a share from 0 to 1")
    if options.examples < 1:
        parser.error("--examples: give 1 or more")
    return options


def main():
    options = parsed_options()
    source = Source(options.part)
    for index in range(options.examples):
        print(json.dumps(example(source, options, index)))


if __name__ == "__main__":
    main()
