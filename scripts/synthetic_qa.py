#!/usr/bin/env python3
"""Writes questions about long contexts whose answers are exact, one line of JSONL each, to standard output: no download, no model.

    python scripts/synthetic_qa.py --examples 2000 --bytes 40000 --seed 1 > questions.jsonl

Contexts are source of Python's standard library, read by `ast`, or lines of keys and values, or of settings. What a question asks
for stands at a distance from the end of the prompt that is drawn evenly on a logarithmic scale; names asked for are made up, so
that no model knows them from elsewhere. A share of the examples is short, so that a model does not forget short ones.

Each line holds "prompt" and "completion", which `zebra data pack` reads, and beside them what `zebra eval --answers` reads: "kind",
"evidence" (byte of the prompt at which the farthest line that is needed begins), and "guesses", what strategies that never look
a name up would answer. With --turns it holds "messages" instead. The same options and Python give the same bytes.
"""

import argparse
import ast
import collections
import dataclasses
import itertools
import json
import pathlib
import random
import re
import sys
import sysconfig

from python_corpus import HELD_OUT_EVERY, source_files

SHORTEST = 200  # bytes of a prompt
LONGEST_ANSWER = 48  # bytes: what a model copies, not how long it can go on, is asked for
MOST_WORDS = 400  # that names are made of: the most frequent ones
MOST_PIECES = 4  # of a module that stand together
SETTINGS, VALUES = 64, 32  # words that are names and values of settings: few, so that each is a token of a small vocabulary
WORD = re.compile(r"(?<![a-z])[a-z]{3,8}(?![a-z])")


@dataclasses.dataclass(frozen=True)
class Fact:
    """What a line says of a name: `NAME(a, b)`, `NAME = 260`, `NAME: 471` or `set NAME word`."""
    kind: str
    name: str
    tail: str  # of the answer, behind the name

    @property
    def answer(self):
        return HEADS.get(self.kind, "") + self.name + self.tail


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
    names: list  # that must be told of once
    about: str  # kind of the facts that the context is full of
    guess: object  # function of one of them: the answer if that were the right one


# What contexts say of names, each as a name and what an answer has behind it.
LITERAL = r"(?:-?\d[\w.]*|'[^'\n]*'|\"[^\"\n]*\")"
FACTS = {
    "arguments": re.compile(r"^ *def (\w+)(\(.+\)):", re.MULTILINE),
    "constant": re.compile(rf"^(\w+)( = {LITERAL})$", re.MULTILINE),
    "key": re.compile(r"^(\w+)(: \d+)$", re.MULTILINE),
    "setting": re.compile(r"^set (\w+)( \w+)$", re.MULTILINE),
}
HEADS = {"setting": "set "}  # of an answer, before the name
ASKED = {"arguments": "Which arguments does {} take?", "constant": "What is the value of {}?", "key": "What is the value of {}?",
         "setting": "What is the value of {}?"}
ANSWER = "\nAnswer:\n"  # ends with a line, so that no token holds the end of it and the beginning of the answer
ENDING = "\nQuestion: {}" + ANSWER
HEADER = re.compile(r"^# module ([\w.]+)$", re.MULTILINE)


def is_asked_for(tail):
    return tail not in ("(self)", "(cls)") and len(tail.encode()) <= LONGEST_ANSWER


def facts_in(context, kind):
    return [Fact(kind, name, tail) for name, tail in FACTS[kind].findall(context) if is_asked_for(tail)]


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
    """What the first line of a piece says that can be asked for."""
    return next((fact for kind in ("arguments", "constant") for fact in facts_in(line, kind)), None)


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
        most = sorted(counts, key=lambda word: (-counts[word], word))
        self.words = sorted(most[:MOST_WORDS])
        few = [word for word in most[:SETTINGS + VALUES + 1] if word != "set"]
        self.settings, self.values = few[:SETTINGS], few[SETTINGS:SETTINGS + VALUES]

    def name(self, draw, like=""):
        """A name that nothing has, written as such names are."""
        words = draw.sample(self.words, 2)
        return "_".join(words).upper() if like.isupper() else "_".join(words)

    def renamed(self, piece, name, longest):
        """The piece, cut, with the name in its first line instead of its own."""
        text = re.sub(rf"\b{re.escape(piece.fact.name)}\b", name, piece.text, count=1) if piece.fact else piece.text
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


def ask_fact(kind):
    def ask(source, draw, longest):
        module, piece, name = chosen(source, kind, draw)
        return Question(kind, ASKED[kind].format(name), name + piece.fact.tail, [source.block(module, piece, name, longest)],
                        source.filler_around(kind, longest), [name], kind, lambda fact: name + fact.tail)
    return ask


def ask_module(source, draw, longest):
    about = draw.choice(["arguments", "constant"])
    module, piece, name = chosen(source, about, draw)
    return Question("module", f"Which module defines {name}?", module.name, [source.block(module, piece, name, longest)],
                    source.filler_around(about, longest), [name], about, None)


def ask_alias(source, draw, longest):
    """Two hops: from an alias, a line that is put into the source, to a constant."""
    module, piece, name = chosen(source, "constant", draw)
    alias = source.name(draw, piece.fact.name)
    blocks = [source.block(module, piece, name, longest), f"{alias} = {name}\n\n"]
    draw.shuffle(blocks)
    return Question("alias", ASKED["constant"].format(alias), f"{alias} = {name}{piece.fact.tail}", blocks,
                    source.filler_around("constant", longest), [name, alias], "constant",
                    lambda fact: f"{alias} = {fact.name}{fact.tail}")


def pair(source, draw):
    return Fact("key", source.name(draw), f": {draw.randrange(100, 1000)}")


def setting(source, draw):
    return Fact("setting", draw.choice(source.settings), f" {draw.choice(source.values)}")


def lines_of(fact, source):
    def filler(size, draw):
        lines = []
        while sum(map(len, lines)) < size:
            lines.append(fact(source, draw).answer + "\n")
        return whole_lines("".join(lines), size)
    return filler


def ask_line(fact):
    def ask(source, draw, longest):
        asked = fact(source, draw)
        return Question(asked.kind, ASKED[asked.kind].format(asked.name), asked.answer, [asked.answer + "\n"],
                        lines_of(fact, source), [asked.name], asked.kind,
                        lambda other: dataclasses.replace(asked, tail=other.tail).answer)
    return ask


def ask_linked_key(source, draw, longest):
    """Two hops: from a key that names another to that one's value."""
    first, second = source.name(draw), pair(source, draw)
    blocks = [f"{first}: see {second.name}\n", f"{second.name}{second.tail}\n"]
    draw.shuffle(blocks)
    return Question("linked_key", ASKED["key"].format(first), f"{first}: see {second.name}{second.tail}", blocks,
                    lines_of(pair, source), [first, second.name], "key", lambda fact: f"{first}: see {fact.name}{fact.tail}")


KINDS = {"arguments": ask_fact("arguments"), "constant": ask_fact("constant"), "module": ask_module, "alias": ask_alias,
         "key": ask_line(pair), "linked_key": ask_linked_key, "setting": ask_line(setting)}


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
    """What strategies that do not look the name up would answer."""
    answers = [question.guess(fact) for fact in facts_in(context, question.about)] if question.guess else HEADER.findall(context)
    if not answers:
        return {}
    return {"newest": answers[-1], "oldest": answers[0], "commonest": collections.Counter(answers).most_common(1)[0][0]}


def turns_of(question, context, options, draw):
    """The question and further ones about facts of the same context that are told once, with their answers, as long as they fit."""
    turns = [(question.text, question.answer)]
    facts = facts_in(context, question.about)
    told = collections.Counter(fact.name for fact in facts)
    others = [fact for fact in facts if told[fact.name] == 1 and fact.name not in question.answer]
    size = len(context.encode())
    for fact in draw.sample(others, len(others)):
        size += sum(map(len, turns[-1])) + len(ENDING)
        turn = ASKED[fact.kind].format(fact.name), fact.answer
        if len(turns) == options.turns or size + sum(map(len, turn)) + len(ENDING) > options.bytes:
            break
        turns.append(turn)
    return turns


def messages_of(turns, context):
    """The context stands in the first message."""
    messages = []
    for question, answer in turns:
        content = context + ENDING.format(question).removesuffix(ANSWER)
        messages += [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
        context = ""
    return messages


def drawn(source, options, draw):
    """A question, its context, and the byte at which what is needed begins."""
    ask = KINDS[draw.choice(options.kinds)]
    length = options.bytes
    if draw.random() < options.short:
        length = evenly_by_octave(draw, SHORTEST, max(SHORTEST, options.bytes // 4))
    if options.turns > 1:
        length //= 2  # further turns take the rest
    question = ask(source, draw, length // 8)
    end = len(ENDING.format(question.text))
    nearest = sum(len(block.encode()) for block in question.blocks)
    low, high = (bound - end for bound in options.distance)
    distance = evenly_by_octave(draw, max(nearest, low), min(length - end, high))
    return question, *context_of(question, length - end, distance, draw)


def is_told_once(name, context):
    return len(re.findall(rf"^ *(?:async )?(?:def |set )?{name}\b", context, re.MULTILINE)) == 1


def example(source, options, index):
    for attempt in itertools.count():
        draw = random.Random(f"{options.seed} {options.part} {index} {attempt}")
        question, context, evidence = drawn(source, options, draw)
        if all(is_told_once(name, context) for name in question.names):
            break
    if options.turns:
        return {"messages": messages_of(turns_of(question, context, options, draw), context), "kind": question.kind}
    return {"prompt": context + ENDING.format(question.text), "completion": question.answer, "kind": question.kind, "evidence": evidence,
            "guesses": guesses_of(question, context)}


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
    parser.add_argument("--turns", type=int, default=0, metavar="N",
                        help="write conversations, which `zebra data chat` reads, of up to N questions about one context")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"--kinds: there is no kind {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    if options.bytes < SHORTEST:
        parser.error(f"--bytes: {options.bytes} leave no room for a context; give {SHORTEST} or more")
    if not 0 <= options.short <= 1:
        parser.error("--short: give a share from 0 to 1")
    if options.turns < 0:
        parser.error("--turns: give 1 or more")
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
