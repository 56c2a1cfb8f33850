"""Turns a kernel into Python functions over arrays with an element for each lane.

A function is a basic block. Its argument m says which lanes run it: True for all, or an array. A
register is an array of bits with a view for each type that instructions see it as (r3_int32,
r3_float32), which the functions change in place. All else that they name is in Operations.
"""

from dataclasses import dataclass

import numpy as np

from .control_flow import basic_blocks, jumps
from .memory import SHARED_START
from .parser import Entry, PtxError

DTYPES = {"pred": np.bool_, "f32": np.float32, "bf16": np.uint16, "bf16x2": np.uint32}
for size in (1, 2, 4, 8):
    DTYPES[f"b{8 * size}"] = DTYPES[f"u{8 * size}"] = np.dtype(f"u{size}").type
    DTYPES[f"s{8 * size}"] = np.dtype(f"i{size}").type
SPECIAL_REGISTERS = {"%laneid"} | {f"%{name}.{axis}" for axis in "xyz"
                                   for name in ("tid", "ntid", "ctaid", "nctaid")}


@dataclass
class Program:
    """A translated kernel."""
    entry: Entry
    blocks: list
    instructions: list  # by the numbers that the functions know them by
    code: object  # defines block_0, block_1, ...
    constants: dict  # name to number
    views: dict  # name to register and dtype
    static_shared_bytes: int
    parameter_bytes: int


def translate(entry, handlers):
    """`handlers`: functions of a Writer and an Instruction that write it, by the first part of its
    opcode."""
    writer = Writer(entry)
    blocks = basic_blocks(entry)
    for number, block in enumerate(blocks):
        writer.begin_block(number)
        for instruction in block.instructions:
            writer.instruction(instruction, handlers)
        writer.end_block(block)
    code = compile("\n".join(writer.lines), f"<{entry.name}>", "exec")
    return Program(entry, blocks, writer.instructions, code, writer.constants, writer.views,
                   writer.static_shared_bytes, writer.parameter_bytes)


def type_of(name):
    return np.dtype(DTYPES[name])


class Writer:
    def __init__(self, entry):
        self.lines, self.instructions = [], []
        self.constants, self.views = {}, {}
        self._registers = entry.registers
        self._names = {}  # of the constants
        self._addresses, self.parameter_bytes = _lay_out(entry.parameters, 0)
        fixed = {name: v for name, v in entry.shared.items() if v.bytes > 0}
        dynamic = {name: v for name, v in entry.shared.items() if v.bytes == 0}
        addresses, end = _lay_out(fixed | dynamic, SHARED_START)
        self._addresses |= addresses
        self.static_shared_bytes = end - SHARED_START

    def begin_block(self, number):
        self.lines.append(f"def block_{number}(m):")
        self._known = set()

    def end_block(self, block):
        """Returns which lanes jump, where it depends."""
        last = block.instructions[-1] if block.instructions else None
        branches = last and jumps(last) and last.predicate
        self.emit(f"return {self.value(last.predicate, 'pred') if branches else None}")

    def instruction(self, instruction, handlers):
        self.current, self.number = instruction, len(self.instructions)
        self.instructions.append(instruction)
        self.mask = "m"
        if instruction.predicate and not jumps(instruction):
            self.mask = f"m{self.number}"
            self.emit(f"{self.mask} = {self.value(instruction.predicate, 'pred')} & m")
        if instruction.parts[0] not in handlers:
            raise self.error("unknown instruction")
        handlers[instruction.parts[0]](self, instruction)

    def emit(self, line):
        self.lines.append(f"    {line}")

    def lanes(self):
        """An index that picks the lanes which execute the instruction out of an array."""
        return self._once("lanes", f"lanes({self.mask})")

    def warps(self):
        """An index that picks their warps, after a check that these execute it with all lanes."""
        return self._once("warps", f"whole_warps({self.number}, {self.mask})")

    def value(self, operand, type_name):
        """An operand as an array, or a number, of a type. A register may be wider than the type."""
        dtype = type_of(type_name)
        if isinstance(operand, float) and type_name == "b32":
            return self.constant(int(np.float32(operand).view(np.uint32)), dtype)
        if isinstance(operand, (int, float)):
            if isinstance(operand, float) != (dtype.kind == "f"):
                raise self.error(f"{operand} is not of type .{type_name}")
            return self.constant(operand, dtype)
        if not isinstance(operand, str):
            raise self.error(f"unknown operand {operand}")
        if operand.startswith("!"):
            return f"~{self.value(operand[1:], type_name)}"
        if operand in SPECIAL_REGISTERS:
            return operand[1:].replace(".", "_")
        if operand in self._addresses:
            return self.constant(self._addresses[operand], dtype)
        held = self._register_dtype(operand, dtype)
        view = self._view(operand, held)
        return view if held == dtype else f"{view}.astype(np.{dtype.name})"

    def constant(self, value, dtype):
        if dtype.kind in "iu":
            value = np.array(value % (1 << 64), np.uint64).astype(dtype)[()]
        else:
            value = dtype.type(value)
        key = value.tobytes(), dtype.name
        if key not in self._names:
            self._names[key] = f"constant_{len(self._names)}"
            self.constants[self._names[key]] = value
        return self._names[key]

    def address_of(self, variable):
        """Of a parameter or a shared variable, in its space."""
        if variable not in self._addresses:
            raise self.error(f"unknown variable {variable}")
        return self._addresses[variable]

    def register_type(self, name):
        """As declared: "b64"."""
        if name not in self._registers:
            raise self.error(f"unknown register {name}")
        return self._registers[name]

    def target(self, register, type_name):
        """The array for results of a type; a wider register takes them extended as the type is."""
        dtype = type_of(type_name)
        return self._view(register, self._register_dtype(register, dtype))

    def assign(self, register, type_name, expression):
        if register != "_":
            self.emit(f"np.copyto({self.target(register, type_name)}, {expression}, "
                      f"where={self.mask}, casting='unsafe')")

    def error(self, message):
        return PtxError(f"{self.current}: {message}")

    def _register_dtype(self, register, dtype):
        """What a register is when it holds elements of a dtype, which it may extend."""
        kind = self.register_type(register)
        if kind not in DTYPES:
            raise self.error(f"registers of type .{kind} are unknown")
        declared = type_of(kind)
        if (declared.kind == "b") != (dtype.kind == "b") or declared.itemsize < dtype.itemsize:
            raise self.error(f"{register} does not fit the instruction's type")
        return dtype if dtype.kind == "b" else np.dtype(f"{dtype.kind}{declared.itemsize}")

    def _view(self, register, dtype):
        name = register.lstrip("%").replace("$", "_")
        name = name if dtype.kind == "b" else f"{name}_{dtype.name}"
        self.views[name] = register, dtype
        return name

    def _once(self, what, expression):
        name = f"{what}_{self.mask}"
        if name not in self._known:
            self._known.add(name)
            self.emit(f"{name} = {expression}")
        return name


def _lay_out(variables, start):
    """Addresses one behind the other, and where they end."""
    addresses = {}
    for name, variable in variables.items():
        start = -(-start // variable.alignment) * variable.alignment
        addresses[name] = start
        start += variable.bytes
    return addresses, start
