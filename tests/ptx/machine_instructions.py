"""Writes the instructions that reach beyond a lane's registers: memory, warps and barriers.

They become calls of Operations, with the number of the instruction for errors.
"""

from .control_flow import is_block_barrier, jumps
from .parser import Address, Vector
from .scalar_instructions import split_opcode, values
from .translator import type_of

SPACES = "global shared param local"


def address(writer, operand):
    """The addresses of the executing lanes, in their space."""
    if not isinstance(operand, Address):
        raise writer.error("an address is needed")
    if not operand.base.startswith("%"):
        start = writer.address_of(operand.base) if operand.base else 0
        fixed = writer.constant(start + operand.offset, type_of("u64"))
        return f"everywhere({writer.lanes()}, {fixed})"
    type_name = writer.register_type(operand.base)
    base = f"{writer.value(operand.base, type_name)}[{writer.lanes()}]"
    offset = writer.constant(operand.offset, type_of(type_name))
    return f"{base} + {offset}" if operand.offset else base


def _space(writer, modifiers):
    spaces = [modifier for modifier in modifiers if modifier in SPACES.split()]
    if "local" in spaces:
        raise writer.error("a kernel must not use local memory")
    return spaces[0] if spaces else "generic"


def _elements(operand):
    return operand.elements if isinstance(operand, Vector) else (operand,)


def load(writer, instruction):
    type_name, modifiers = split_opcode(writer, SPACES + " nc v2 v4")
    target, source = instruction.operands
    dtype, targets = type_of(type_name), _elements(target)
    writer.emit(f"loaded = load({writer.number}, {_space(writer, modifiers)!r}, {writer.lanes()}, "
                f"{address(writer, source)}, {dtype.itemsize}, {len(targets)})")
    for i, register in enumerate(targets):
        writer.emit(f"{writer.target(register, type_name)}[{writer.lanes()}] = "
                    f"loaded[:, {i}].view(np.{dtype.name})")


def store(writer, instruction):
    type_name, modifiers = split_opcode(writer, SPACES + " v2 v4")
    target, source = instruction.operands
    bits = f"b{8 * type_of(type_name).itemsize}"
    sources = ", ".join(values(writer, _elements(source), bits))
    writer.emit(f"store({writer.number}, {_space(writer, modifiers)!r}, {writer.lanes()}, "
                f"{address(writer, target)}, ({sources},))")


def convert_address(writer, instruction):
    """cvta.SPACE: to a generic address; cvta.to.SPACE: back."""
    type_name, modifiers = split_opcode(writer, SPACES + " to")
    target, source = instruction.operands
    operator = "-" if "to" in modifiers else "+"
    writer.assign(target, type_name, f"{writer.value(source, type_name)} {operator} "
                                     f"{_space(writer, modifiers)}_window")


def asynchronous_copy(writer, instruction):
    opcode = instruction.opcode
    if opcode == "cp.async.commit_group":
        writer.emit(f"commit_copies({writer.lanes()})")
    elif opcode == "cp.async.wait_group":
        writer.emit(f"wait_copies({writer.lanes()}, {instruction.operands[0]})")
    elif opcode in ("cp.async.cg.shared.global", "cp.async.ca.shared.global"):
        target, source, width, *present = instruction.operands
        present = writer.value(present[0] if present else width, "u32")
        writer.emit(f"start_copies({writer.number}, {writer.lanes()}, {address(writer, target)}, "
                    f"{address(writer, source)}, {present}, {width})")
    else:
        raise writer.error("unknown instruction")


def load_matrices(writer, instruction):
    if instruction.opcode.replace(".trans", "") != "ldmatrix.sync.aligned.m8n8.x4.shared.b16":
        raise writer.error("unknown instruction")
    targets, source = instruction.operands
    warps = writer.warps()
    writer.emit(f"loaded = load_matrices({writer.number}, {writer.lanes()}, "
                f"{address(writer, source)}, {'.trans' in instruction.opcode})")
    _assign_fragments(writer, targets, "b32", warps, "loaded")


def multiply_add(writer, instruction):
    if instruction.opcode != "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32":
        raise writer.error("unknown instruction")
    target, *operands = instruction.operands
    a, b, c = (f"({', '.join(values(writer, operand.elements, type_name))})"
               for operand, type_name in zip(operands, ("b32", "b32", "f32")))
    warps = writer.warps()
    writer.emit(f"product = multiply_add({warps}, {a}, {b}, {c})")
    _assign_fragments(writer, target, "f32", warps, "product")


def _assign_fragments(writer, target, type_name, warps, fragments):
    for i, register in enumerate(target.elements):
        writer.emit(f"by_warp({writer.target(register, type_name)})[{warps}] = {fragments}[{i}]")


def shuffle(writer, instruction):
    if instruction.opcode != "shfl.sync.bfly.b32":
        raise writer.error("unknown instruction")
    target, x, *choice, members = instruction.operands
    choice = ", ".join(values(writer, choice, "u32"))  # lane mask, and bounds of the choice
    _require_whole_warp(writer, members)
    writer.warps()
    writer.emit(f"source, inside = shuffle_source({choice})")
    writer.emit(f"shuffled = {writer.value(x, 'b32')}[source]")
    for register, type_name, result in zip(_elements(target), ("b32", "pred"),
                                           ("shuffled", "inside")):
        writer.assign(register, type_name, result)


def barrier(writer, instruction):
    """The end of a basic block is where threads wait at bar.sync; this only checks the warps."""
    if instruction.opcode == "bar.warp.sync":
        _require_whole_warp(writer, *instruction.operands)
    elif not is_block_barrier(instruction) or len(instruction.operands) != 1:
        raise writer.error("unknown instruction")
    writer.warps()


def _require_whole_warp(writer, members):
    members = writer.value(members, "u32")
    writer.emit(f"require_whole_warp({writer.number}, {writer.lanes()}, {members})")


def jump(writer, instruction):
    """The machine sends the lanes on."""
    if not jumps(instruction) or instruction.parts[1:] not in ([], ["uni"]):
        raise writer.error("unknown instruction")


HANDLERS = {"ld": load, "st": store, "cvta": convert_address, "cp": asynchronous_copy,
            "ldmatrix": load_matrices, "mma": multiply_add, "shfl": shuffle, "bar": barrier,
            "bra": jump, "ret": jump, "exit": jump}
