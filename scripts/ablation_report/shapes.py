"""Reads JSON of a described shape and collects every problem instead of stopping at the first.

A shape is a function (value, place, problems) that returns the value to use. `place` is where the
value stands, such as "arms[3].seed".
"""

import dataclasses
import json
import math

import numpy as np

_MOST_SHOWN = 20  # problems of one file


class InvalidInput(Exception):
    """What a user can put right: the message says what is wrong and where."""


def text(value, place, problems):
    if isinstance(value, str):
        return value
    problems.append(f"{place}: {_shown(value)} is not a string")
    return None


def whole(minimum):
    def read(value, place, problems):
        if isinstance(value, int) and not isinstance(value, bool) and value >= minimum:
            return value
        problems.append(f"{place}: {_shown(value)} is not a whole number of at least {minimum}")
        return None
    return read


def number(value, place, problems):
    """A float; None where it is null or not finite."""
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else None
    problems.append(f"{place}: {_shown(value)} is not a number")
    return None


def choice(*allowed):
    def read(value, place, problems):
        if value in allowed:
            return value
        problems.append(f"{place}: {_shown(value)} is none of {', '.join(allowed)}")
        return None
    return read


def numbers(value, place, problems):
    """A float array; NaN where an entry is null or not finite."""
    def fits(entry):
        return entry is None or isinstance(entry, (int, float))

    return _array(value, place, problems, fits, "a number or null", float)


def whole_numbers(minimum, maximum=None):
    """An array of whole numbers of a range; true and false are 1 and 0."""
    name = f"a whole number from {minimum}" + ("" if maximum is None else f" to {maximum}")

    def fits(entry):
        return isinstance(entry, int) and minimum <= entry and (maximum is None or entry <= maximum)

    return lambda value, place, problems: _array(value, place, problems, fits, name, np.int64)


def _array(value, place, problems, fits, name, kind):
    if not isinstance(value, list):
        problems.append(f"{place}: {_shown(value)} is not a list")
        return np.zeros(0, kind)
    for index, entry in enumerate(value):
        if not fits(entry):
            problems.append(f"{place}[{index}]: {_shown(entry)} is not {name}")
            return np.zeros(0, kind)
    result = np.array([math.nan if entry is None else entry for entry in value], kind)
    if kind is float:
        result[~np.isfinite(result)] = math.nan
    return result


def sequence(shape):
    def read(value, place, problems):
        if not isinstance(value, list):
            problems.append(f"{place}: {_shown(value)} is not a list")
            return ()
        return tuple(shape(entry, f"{place}[{index}]", problems)
                     for index, entry in enumerate(value))
    return read


def mapping(shape):
    def read(value, place, problems):
        if not isinstance(value, dict):
            problems.append(f"{place}: {_shown(value)} is not an object")
            return {}
        return {key: shape(entry, f"{place}.{key}", problems) for key, entry in value.items()}
    return read


def anything(value, place, problems):
    del place, problems
    return value


def record(kind, /, **shapes):
    """An object that becomes a dataclass; a field with a default may be missing or null, and one
    whose metadata has a "key" is read from that. None if anything in it is wrong. Keys that the
    dataclass does not have are left alone."""
    fields_of_kind = {field.name: field for field in dataclasses.fields(kind)}
    keys = {name: fields_of_kind[name].metadata.get("key", name) for name in shapes}
    optional = {name for name, field in fields_of_kind.items()
                if field.default is not dataclasses.MISSING or
                field.default_factory is not dataclasses.MISSING}

    def read(value, place, problems):
        if not isinstance(value, dict):
            problems.append(f"{place or 'the file'}: {_shown(value)} is not an object")
            return None
        before = len(problems)
        fields = {}
        for name, shape in shapes.items():
            key = keys[name]
            inner = f"{place}.{key}" if place else key
            if name in optional and value.get(key) is None:
                continue
            if key not in value:
                problems.append(f"{inner} is missing")
                continue
            fields[name] = shape(value[key], inner, problems)
        return kind(**fields) if len(problems) == before else None
    return read


def read_file(path, shape, check=None):
    """The value in a JSON file. `check(value)` yields further problems of a value that has the
    shape. Raises InvalidInput."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidInput(f"{path}: no such file") from None
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path}: not valid JSON: {error}") from None
    problems = []
    result = shape(value, "", problems)
    if not problems and check:
        problems.extend(check(result))
    if problems:
        shown = problems[:_MOST_SHOWN]
        if len(problems) > len(shown):
            shown.append(f"and {len(problems) - len(shown)} more")
        raise InvalidInput("\n  ".join([f"{path}:", *shown]))
    return result


def _shown(value):
    text_of_value = json.dumps(value)
    return text_of_value if len(text_of_value) <= 40 else text_of_value[:37] + "..."
