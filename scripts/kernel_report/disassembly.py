"""Disassembled kernels: instructions, basic blocks, and the ways through the main loop.

The main loop of a kernel is the strongly connected part of its control flow that holds both a
XX"""

import dataclasses
import re

_INSTRUCTION = re.compile(
    r"^\s+/\*(?P<address>[0-9a-f]+)\*/\s+(?P<predicate>@!?U?P\w+\s+)?(?P<opcode>[A-Z][\w.]*)"
    r"(?P<operands>[^;]*);")
_LABEL = re.compile(r"^(\.L_x_\d+):")
_FUNCTION = re.compile(r"^\.text\.(\w+):")
_TARGET = re.compile(r"`\((\.L_x_\d+)\)")
# The warp is converged where it branches on divergence: a shuffle's slow path is never taken.
_NEVER_TAKEN = ("BRA.DIV",)
_JUMPS = ("BRA", "BRX", "JMP", "CALL")
_ENDS = ("EXIT", "RET", "KILL")

# Counted kinds of instructions by the first part of their name; the first match counts.
KINDS = {
    "HMMA": ("HMMA",),
    "LDSM": ("LDSM",),
    "LDS": ("LDS",),
    "STS": ("STS",),
    "LDGSTS": ("LDGSTS",),
    "LDG": ("LDG", "LD"),
    "STG": ("STG", "ST"),
    "LOCAL": ("LDL", "STL"),
    "MUFU": ("MUFU",),
    "F2FP": ("F2FP",),
    "FP32": ("FFMA", "FMUL", "FADD"),
    "FMNMX": ("FMNMX",),
    "FSEL": ("FSEL", "FSETP", "FSET"),
    "FP64": ("DADD", "DMUL", "DFMA", "DSETP", "DMMA"),
    "CONVERT": ("I2F", "F2I", "F2F", "I2FP", "FRND"),
    "SHFL": ("SHFL",),
    "BAR": ("BAR",),
    "MOVE": ("MOV", "CS2R", "S2R", "S2UR", "R2UR", "UMOV", "ULDC", "LDC", "PRMT", "P2R", "R2P",
             "HFMA2"),
    "BRANCH": ("BRA", "BRX", "JMP", "CALL", "RET", "EXIT", "BSSY", "BSYNC", "WARPSYNC", "NOP",
               "ENDCOLLECTIVE"),
    "INT": ("IMAD", "IADD3", "VIADD", "IABS", "LOP3", "LEA", "SHF", "ISETP", "IMNMX", "VIMNMX",
            "VIMNMX3", "VIADDMNMX", "SEL", "UIADD3", "ULOP3", "ULEA", "USHF", "UISETP", "USEL",
            "UIMAD", "PLOP3", "UPLOP3"),
    "OTHER": (),
}
_KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}


@dataclasses.dataclass(frozen=True)
class Instruction:
    address: int
    predicate: str
    opcode: str
    operands: str

    @property
    def name(self):
        return self.opcode.split(".")[0]

    @property
    def kind(self):
        if self.predicate == "@!PT":  # never executed: padding
            return "OTHER"
        if self.opcode.startswith("IMAD.MOV"):
            return "MOVE"
        return _KIND_OF.get(self.name, "OTHER")


@dataclasses.dataclass
class Block:
    """Instructions that are executed together; successors by the address of their first."""
    instructions: list
    successors: tuple


@dataclasses.dataclass(frozen=True)
class MainLoop:
    instructions: list  # of all of it
    ends: list  # of the kernel before and after it
    free: list  # of one pass over a tile that needs no mask
    masked: list  # of one pass over a tile with a mask of which everything is visible
    empty: list  # of one pass over a tile of which nothing is visible


def parse(text):
    """{mangled name: (instructions, {label: address})} of what `nvdisasm -c` prints."""
    functions, pending = {}, []
    for line in text.splitlines():
        if function := _FUNCTION.match(line):
            instructions, labels = functions.setdefault(function[1], ([], {}))
        elif label := _LABEL.match(line):
            pending.append(label[1])
        elif found := _INSTRUCTION.match(line):
            address = int(found["address"], 16)
            labels.update((label, address) for label in pending)
            pending.clear()
            instructions.append(Instruction(address, (found["predicate"] or "").strip(),
                                            found["opcode"], found["operands"].strip()))
    return functions


def counts_of(instructions):
    counts = dict.fromkeys(KINDS, 0)
    for instruction in instructions:
        counts[instruction.kind] += 1
    return counts


def _successors(instruction, following, labels, joins):
    """Where control goes after an instruction; None: on, and not the end of a block."""
    onward = () if following is None else (following,)
    if instruction.name in _ENDS:
        return onward if instruction.predicate else ()
    if instruction.name == "BSSY":  # remembers where its BSYNC joins
        register = instruction.operands.split(",")[0]
        joins.setdefault(register, set()).add(labels[_TARGET.search(instruction.operands)[1]])
        return None
    if instruction.name == "BSYNC":
        joined = joins[instruction.operands.split(",")[0]]
        return onward if following in joined else tuple(joined)
    if instruction.name not in _JUMPS or instruction.opcode in _NEVER_TAKEN:
        return None
    target = _TARGET.search(instruction.operands)
    taken = (labels[target[1]],) if target else ()
    conditional = instruction.predicate or instruction.name == "CALL"
    return taken + onward if conditional else taken


def blocks_of(instructions, labels):
    """{address: Block}"""
    blocks, current, joins = {}, [], {}
    starts = set(labels.values())
    for instruction, after in zip(instructions, [*instructions[1:], None]):
        current.append(instruction)
        following = after.address if after else None
        successors = _successors(instruction, following, labels, joins)
        if successors is None and (following in starts or following is None):
            successors = () if following is None else (following,)
        if successors is not None:
            blocks[current[0].address] = Block(current, successors)
            current = []
    return blocks


def _reachable(blocks, start):
    found, waiting = set(), [start]
    while waiting:
        address = waiting.pop()
        if address not in found:
            found.add(address)
            waiting.extend(blocks[address].successors)
    return found


def _best_way(blocks, loop, head, value):
    """Block addresses of the way from `head` back to it inside `loop` with the largest sum of
    value(block), tuples that are compared in order."""
    best = {}

    def onward(address, path):
        if address in path:
            raise ValueError("the main loop holds another loop")
        if address not in best:
            ends, ways = [], []
            for successor in blocks[address].successors:
                if successor == head:
                    ends.append((value(blocks[address]), (address,)))
                elif successor in loop:
                    rest = onward(successor, path | {address})
                    if rest is not None:
                        total = tuple(map(sum, zip(value(blocks[address]), rest[0])))
                        ways.append((total, (address, *rest[1])))
            best[address] = max(ends + ways, default=None)
        return best[address]

    return onward(head, frozenset())[1]


def _work(block):
    kinds = [instruction.kind for instruction in block.instructions]
    return kinds.count("HMMA"), kinds.count("MUFU"), kinds.count("LDGSTS")


def _has_products(block):
    return any(instruction.name == "HMMA" for instruction in block.instructions)


def _loop_with_products(blocks, entered):
    """The addresses of the loop's blocks; None if there is none."""
    for barrier in sorted(entered):
        if any(i.name == "BAR" for i in blocks[barrier].instructions):
            onward = set().union(*(_reachable(blocks, s) for s in blocks[barrier].successors))
            loop = {address for address in onward if barrier in _reachable(blocks, address)}
            if any(_has_products(blocks[address]) for address in loop):
                return loop
    return None


def main_loop(instructions, labels):
    """None for a kernel without tensor-core products."""
    blocks = blocks_of(instructions, labels)
    entered = _reachable(blocks, instructions[0].address)
    loop = _loop_with_products(blocks, entered)
    if loop is None:
        return None
    heads = {s for address in entered - loop for s in blocks[address].successors} & loop
    if len(heads) != 1:
        raise ValueError(f"the main loop has {len(heads)} entries instead of one")
    (head,) = heads

    def way(inside, value):
        return _best_way(blocks, inside, head, value)

    free = way(loop, lambda b: (*_work(b), -len(b.instructions)))
    around = loop - {address for address in free if _has_products(blocks[address])}
    masked = way(around, lambda b: (*_work(b), len(b.instructions)))
    empty = way(loop, lambda b: (-_work(b)[0], _work(b)[2], -len(b.instructions)))
    return MainLoop(*([i for address in addresses for i in blocks[address].instructions]
                      for addresses in (sorted(loop), sorted(entered - loop), free, masked,
                                        empty)))
