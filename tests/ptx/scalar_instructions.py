"""Writes the instructions that compute in registers: arithmetic, logic, comparison, conversion."""

import string

from .parser import Vector
from .translator import DTYPES, type_of

INTEGERS = {f"{kind}{bits}" for kind in "us" for bits in (16, 32, 64)}

# Expressions over the operands {0}, {1}, ...; those for float32 round to nearest even, which is
# more than .approx and .full promise.
INTEGER = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "min": "np.minimum({0}, {1})",
    "max": "np.maximum({0}, {1})",
    "abs": "np.abs({0})",
    "neg": "-{0}",
}
FLOAT = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "fma": "arithmetic.fma({0}, {1}, {2})",
    "div": "{0} / {1}",
    "rcp": "np.float32(1) / {0}",
    "sqrt": "np.sqrt({0})",
    "ex2": "arithmetic.exp2({0})",
    "lg2": "arithmetic.log2({0})",
    "min": "arithmetic.minimum({0}, {1})",
    "max": "arithmetic.maximum({0}, {1})",
    "abs": "np.abs({0})",
    "neg": "-{0}",
}
LOGIC = {
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "xor": "{0} ^ {1}",
    "not": "~{0}",
}
COMPARISONS = {
    "eq": "{0} == {1}",
    "ne": "({0} < {1}) | ({0} > {1})",  # false for NaN, as all but those with a u
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
}
UNSIGNED_COMPARISONS = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}
UNORDERED_COMPARISONS = {
    "equ": "~(({0} < {1}) | ({0} > {1}))",
    "neu": "{0} != {1}",
    "ltu": "~({0} >= {1})",
    "leu": "~({0} > {1})",
    "gtu": "~({0} <= {1})",
    "geu": "~({0} < {1})",
    "num": "~(np.isnan({0}) | np.isnan({1}))",
    "nan": "np.isnan({0}) | np.isnan({1})",
}
# By the kinds of the types, to and from, and of the rounding; {dtype} is that of the result.
CONVERSIONS = {
    ("integer", "integer", None): "{0}.astype(np.{dtype})",
    ("f32", "integer", "rn"): "{0}.astype(np.float32)",
    ("integer", "f32", "integral"): "arithmetic.to_integer({0}, '{rounding}', np.{dtype})",
    ("f32", "f32", "integral"): "arithmetic.round_to_integral({0}, '{rounding}')",
    ("bf16", "f32", "rn"): "arithmetic.to_bfloat16({0})",
    ("bf16x2", "f32", "rn"):
        "arithmetic.to_bfloat16({0}).astype(np.uint32) << 16 | arithmetic.to_bfloat16({1})",
    ("f32", "bf16", None): "arithmetic.from_bfloat16({0})",
}


def split_opcode(writer, allowed="", types=1):
    """The types in the opcode, as many as told, and its modifiers, which must be among those
    allowed. Of one type, the type itself."""
    parts = writer.current.parts[1:]
    found = [part for part in parts if part in DTYPES]
    modifiers = [part for part in parts if part not in DTYPES]
    for modifier in modifiers:
        if modifier not in allowed.split():
            raise writer.error(f"unknown modifier .{modifier}")
    if len(found) != types:
        raise writer.error(f"{len(found)} types, not {types}")
    return (found[0] if types == 1 else found), modifiers


def values(writer, operands, type_name):
    return [writer.value(operand, type_name) for operand in operands]


def fill(writer, expression, operands, **names):
    """The expression with all of the operands, and no others, in it."""
    fields = {name for _, name, _, _ in string.Formatter().parse(expression) if name is not None}
    if len(fields - set(names)) != len(operands):
        raise writer.error(f"{len(operands)} operands")
    return expression.format(*operands, **names)


def arithmetic(writer, instruction):
    type_name, modifiers = split_opcode(writer, "rn approx full ftz")
    name, (target, *operands) = instruction.parts[0], instruction.operands
    operands = values(writer, operands, type_name)
    if type_name == "f32" and name in FLOAT:
        if "ftz" in modifiers:
            operands = [f"arithmetic.flush({operand})" for operand in operands]
        result = fill(writer, FLOAT[name], operands)
        if "ftz" in modifiers:
            result = f"arithmetic.flush({result})"
        writer.assign(target, type_name, result)
    elif type_name in INTEGERS and name in INTEGER and not modifiers:
        writer.assign(target, type_name, fill(writer, INTEGER[name], operands))
    else:
        raise writer.error("unknown type or modifier")


def logic(writer, instruction):
    type_name, _ = split_opcode(writer)
    target, *operands = instruction.operands
    operands = values(writer, operands, type_name)
    writer.assign(target, type_name, fill(writer, LOGIC[instruction.parts[0]], operands))


def multiply(writer, instruction):
    """mul and, with a third operand to add, mad."""
    type_name, modifiers = split_opcode(writer, "lo hi wide rn ftz")
    if type_name == "f32":
        arithmetic(writer, instruction)
        return
    target, a, b, *addend = instruction.operands
    a, b = values(writer, (a, b), type_name)
    result_type = type_name
    if modifiers == ["lo"]:
        result = f"{a} * {b}"
    elif modifiers == ["hi"]:
        result = f"arithmetic.multiply_high({a}, {b})"
    elif modifiers == ["wide"]:
        result_type = type_name[0] + str(2 * int(type_name[1:]))
        result = f"np.multiply({a}, {b}, dtype=np.{type_of(result_type).name})"
    else:
        raise writer.error("one of .lo, .hi and .wide is needed")
    if instruction.parts[0] == "mad":
        result += f" + {writer.value(addend[0], result_type)}"
    writer.assign(target, result_type, result)


def divide(writer, instruction):
    """div and rem; a division by zero of integers is an error."""
    if instruction.parts[-1] == "f32":
        arithmetic(writer, instruction)
        return
    type_name, _ = split_opcode(writer)
    target, a, b = instruction.operands
    a, b = values(writer, (a, b), type_name)
    function = {"div": "divide", "rem": "remainder"}[instruction.parts[0]]
    divisor = f"divisor({writer.number}, {writer.mask}, {b})"
    writer.assign(target, type_name, f"arithmetic.{function}({a}, {divisor})")


def shift(writer, instruction):
    """NumPy and PTX agree on amounts beyond the width: all bits go."""
    type_name, _ = split_opcode(writer)
    target, x, amount = instruction.operands
    function = {"shl": "np.left_shift", "shr": "np.right_shift"}[instruction.parts[0]]
    writer.assign(target, type_name,
                  f"{function}({writer.value(x, type_name)}, {writer.value(amount, 'u32')})")


def extract_bits(writer, instruction):
    type_name, _ = split_opcode(writer)
    target, x, start, length = instruction.operands
    if type_name not in ("u32", "s32"):
        raise writer.error("unknown type")
    start, length = values(writer, (start, length), "u32")
    writer.assign(target, type_name,
                  f"arithmetic.extract_bits({writer.value(x, type_name)}, {start}, {length})")


def bits_of_words(writer, instruction):
    """Functions of 32-bit words."""
    name = instruction.parts[0]
    type_name, modifiers = split_opcode(writer, "l r wrap clamp" if name == "shf" else "")
    target, *operands = instruction.operands
    if type_name != "b32":
        raise writer.error("unknown type")
    operands = ", ".join(values(writer, operands, "b32"))
    function = {"bfi": "insert_bits", "prmt": "permute_bytes", "lop3": "lookup_bits",
                "shf": f"funnel_shift_{'_'.join(modifiers)}"}[name]
    writer.assign(target, "b32", f"arithmetic.{function}({operands})")


def set_predicate(writer, instruction):
    """setp.CMP.TYPE, or setp.CMP.OPERATOR.TYPE with a third operand; the second of two destinations
    gets the opposite of the comparison."""
    allowed = [*COMPARISONS, *UNSIGNED_COMPARISONS, *UNORDERED_COMPARISONS, *LOGIC, "ftz"]
    type_name, modifiers = split_opcode(writer, " ".join(allowed))
    comparison, *modifiers = modifiers
    targets, a, b, *third = instruction.operands
    operands = values(writer, (a, b), type_name)
    if "ftz" in modifiers:
        modifiers.remove("ftz")
        operands = [f"arithmetic.flush({operand})" for operand in operands]
    comparison = UNSIGNED_COMPARISONS.get(comparison, comparison)
    known = COMPARISONS | UNORDERED_COMPARISONS if type_name == "f32" else COMPARISONS
    if comparison not in known or len(modifiers) != len(third):
        raise writer.error("unknown comparison")
    result = fill(writer, known[comparison], operands)
    results = [f"({result})", f"~({result})"]
    for operator in modifiers:
        third = values(writer, third, "pred")
        results = [fill(writer, LOGIC[operator], (result, *third)) for result in results]
    targets = targets.elements if isinstance(targets, Vector) else (targets,)
    writer.emit(f"results = {', '.join(results)}")  # both, before an operand changes as a target
    for i, target in enumerate(targets):
        writer.assign(target, "pred", f"results[{i}]")


def select(writer, instruction):
    type_name, _ = split_opcode(writer)
    target, a, b, predicate = instruction.operands
    a, b = values(writer, (a, b), type_name)
    writer.assign(target, type_name, f"np.where({writer.value(predicate, 'pred')}, {a}, {b})")


def move(writer, instruction):
    """Also packs and unpacks a register, the lowest part first."""
    type_name, _ = split_opcode(writer)
    target, source = instruction.operands
    if isinstance(source, Vector):
        bits, part_type = _part(type_name, source)
        dtype = type_of(type_name).name
        parts = [f"{part}.astype(np.{dtype}) << {bits * i}"
                 for i, part in enumerate(values(writer, source.elements, part_type))]
        writer.assign(target, type_name, " | ".join(parts))
    elif isinstance(target, Vector):
        bits, part_type = _part(type_name, target)
        for i, part in enumerate(target.elements):
            writer.assign(part, part_type, f"{writer.value(source, type_name)} >> {bits * i}")
    else:
        writer.assign(target, type_name, writer.value(source, type_name))


def _part(type_name, vector):
    bits = int(type_name[1:]) // len(vector.elements)
    return bits, f"b{bits}"


def convert(writer, instruction):
    (to, source), modifiers = split_opcode(writer, "rn rni rzi rmi rpi", types=2)
    target, *operands = instruction.operands
    kinds = ["integer" if type_of(name).kind in "iu" and name[0] in "us" else name
             for name in (to, source)]
    rounding = modifiers[0] if modifiers else None
    key = *kinds, "integral" if rounding and rounding.endswith("i") else rounding
    if key not in CONVERSIONS:
        raise writer.error("unknown conversion")
    writer.assign(target, to, fill(writer, CONVERSIONS[key], values(writer, operands, source),
                                   rounding=rounding, dtype=type_of(to).name))


HANDLERS = {name: arithmetic for name in INTEGER | FLOAT}
HANDLERS |= {name: logic for name in LOGIC}
HANDLERS |= {"mul": multiply, "mad": multiply, "div": divide, "rem": divide, "shl": shift,
             "shr": shift, "bfe": extract_bits, "bfi": bits_of_words, "prmt": bits_of_words,
             "lop3": bits_of_words, "shf": bits_of_words, "setp": set_predicate, "selp": select,
             "mov": move, "cvt": convert}
