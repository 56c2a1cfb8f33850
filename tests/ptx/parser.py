"""PTX text as data: a kernel's parameters, registers, shared variables and instructions."""

import math
import re
import struct
from dataclasses import dataclass, field

ENTRY = re.compile(r"(?s)\.entry\s+([\w$]+)\s*(?:\(([^)]*)\))?([^{;]*)\{")
STATEMENT = re.compile(r"\s*(?:([{}])|([\w$]+)\s*:(?!:)|([^;{}]*(?:\{[^;{}]*\}[^;{}]*)*);)")
INSTRUCTION = re.compile(r"(?:@(!?\s*%\w+)\s+)?([\w.:]+)\s*(.*)")
ADDRESS = re.compile(r"\[\s*(%?[\w$.]*)\s*(?:\+?\s*(-?\d+))?\s*\]")
INTEGER = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|\d+)U?")
NAME = re.compile(r"!?\s*%?[\w$.]+")
BYTES = {"8": 1, "16": 2, "32": 4, "64": 8}


class PtxError(Exception):
    """PTX that is malformed or that the interpreter does not know."""


@dataclass(frozen=True)
class Address:
    """[base + offset]; the base is a register, a variable, or empty."""
    base: str
    offset: int


@dataclass(frozen=True)
class Vector:
    """{a, b, ...}, or the two destinations a|b."""
    elements: tuple


@dataclass(frozen=True)
class Instruction:
    line: int
    text: str
    opcode: str
    operands: tuple  # each a name, an int, a float, an Address or a Vector
    predicate: str  # a register, behind "!" where negated; empty: always

    @property
    def parts(self):
        return self.opcode.split(".")

    def __str__(self):
        return f"line {self.line}: {self.text}"


@dataclass(frozen=True)
class Variable:
    """A parameter or an array in shared memory; no bytes: the dynamic shared memory."""
    bytes: int
    alignment: int


@dataclass
class Entry:
    """A kernel."""
    name: str
    max_threads: int  # of a block
    parameters: dict  # name to Variable, in order
    shared: dict  # name to Variable, in order
    registers: dict = field(default_factory=dict)  # name to type: "b32", "pred"
    instructions: list = field(default_factory=list)
    labels: dict = field(default_factory=dict)  # name to the index of the instruction behind it


def entry_names(text):
    """The names of all kernels."""
    return [match.group(1) for match in ENTRY.finditer(_without_comments(text))]


def parse_entry(text, name):
    """One kernel out of the output of `nvcc -ptx` or `cuobjdump -ptx`."""
    text = _without_comments(text)
    match = next(match for match in ENTRY.finditer(text) if match.group(1) == name)
    parameters = dict(_variable(text) for text in (match.group(2) or "").split(",") if text.strip())
    limits = re.findall(r"\.(?:maxntid|reqntid)([\s\d,]+)", match.group(3))
    max_threads = [math.prod(int(size) for size in limit.split(",")) for limit in limits]
    entry = Entry(name, min(max_threads, default=1024), parameters, _shared_variables(text))
    end = _parse_body(text, match.end(), entry)
    body = text[match.end():end]
    entry.shared = {name: variable for name, variable in entry.shared.items() if name in body}
    return entry


def _without_comments(text):
    """Blank where there is nothing to read, with the same lines."""
    start = text.find(".version")
    if start < 0:
        raise PtxError("not PTX: there is no .version")
    blank = lambda match: re.sub(r"[^\n]", " ", match.group())
    unread = re.compile(r"(?s)/\*.*?\*/|//[^\n]*|(?m:^)[ \t]*\.(?:loc|file)\b[^\n]*")
    return re.sub(r"[^\n]", " ", text[:start]) + unread.sub(blank, text[start:])


def _variable(declaration):
    """Name and Variable of `.align 8 .b8 name[88]`, `.u64 .ptr .align 1 name` and the like."""
    name, array, count = re.search(r"([\w$]+)\s*(\[\s*(\d*)\s*\])?\s*$", declaration).groups()
    element = BYTES[re.search(r"\.[busf](8|16|32|64)\b", declaration).group(1)]
    alignment = re.search(r"\.align\s+(\d+)", declaration)
    if not alignment or ".ptr" in declaration:  # what follows .ptr is about the memory behind it
        return name, Variable(element * int(count or 0) if array else element, element)
    return name, Variable(element * int(count or 0) if array else element, int(alignment.group(1)))


def _shared_variables(text):
    return dict(map(_variable, re.findall(r"(?m)^\s*(?:\.extern\s+)?\.shared\b([^;]*);", text)))


def _parse_body(text, position, entry):
    """Fills `entry` from the statements behind its opening brace; returns where they end."""
    depth, line = 1, text.count("\n", 0, position) + 1
    while depth > 0:
        match = STATEMENT.match(text, position)
        if not match:
            raise PtxError(f"line {line}: a statement was expected")
        line += text.count("\n", position, match.start(match.lastindex))
        brace, label, statement = match.groups()
        if brace:
            depth += 1 if brace == "{" else -1
        elif label:
            entry.labels[label] = len(entry.instructions)
        elif statement.startswith("."):
            _declare(statement, line, entry)
        elif statement:
            entry.instructions.append(_instruction(" ".join(statement.split()), line))
        line += text.count("\n", match.start(match.lastindex), match.end())
        position = match.end()
    return position


def _declare(statement, line, entry):
    if statement.startswith(".reg"):
        kind, names = re.match(r"(?s)\.reg\s+\.(\w+)\s+(.*)", statement).groups()
        for name in names.split(","):
            stem, count = re.match(r"\s*([%\w$]+)(?:<(\d+)>)?", name).groups()
            numbered = [stem] if count is None else [f"{stem}{i}" for i in range(int(count))]
            entry.registers.update(dict.fromkeys(numbered, kind))
    elif statement.startswith(".local"):
        raise PtxError(f"line {line}: {statement}: a kernel must not use local memory")
    elif not statement.startswith((".shared", ".pragma")):
        raise PtxError(f"line {line}: {statement}: unknown directive")


def _instruction(text, line):
    predicate, opcode, operands = INSTRUCTION.match(text).groups()
    try:
        parsed = tuple(_operand(part) for part in _split(operands))
    except ValueError:
        raise PtxError(f"line {line}: {text}: an operand of an unknown form") from None
    return Instruction(line, text, opcode, parsed, (predicate or "").replace(" ", ""))


def _split(text):
    """At the commas outside braces."""
    return [part.strip() for part in re.split(r",(?![^{]*\})", text) if part.strip()]


def _operand(text):
    if text.startswith("{"):
        return Vector(tuple(_operand(part) for part in _split(text[1:-1])))
    if "|" in text:
        return Vector(tuple(_operand(part.strip()) for part in text.split("|")))
    if match := ADDRESS.fullmatch(text):
        base, offset = match.groups()
        return Address("", int(base)) if base.isdigit() else Address(base, int(offset or 0))
    if text.startswith("0f"):
        return struct.unpack(">f", bytes.fromhex(text[2:]))[0]
    if INTEGER.fullmatch(text):
        return int(text.rstrip("U"), 0)
    if NAME.fullmatch(text):
        return text.replace(" ", "")
    raise ValueError(text)
