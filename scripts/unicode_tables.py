#!/usr/bin/env python3
"""Writes src/data/unicode_tables.cpp: classes of characters and canonical composition, as the package `tokenizers` has them.

    python scripts/unicode_tables.py > src/data/unicode_tables.cpp

The package is asked, character by character, because ids must be those that it gives: its tables are of another version of
Unicode than Python's. Needs `tokenizers`.
"""

import unicodedata

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

CHARACTERS = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
# In the order of CharacterClass. A character has one class; "other" is what is left.
CLASSES = ["other", r"\s", r"[\p{Lu}\p{Lt}]", r"\p{Ll}", r"[\p{Lm}\p{Lo}]", r"\p{M}", r"\p{N}", r"\p{P}", r"\p{S}"]
HANGUL = range(0xAC00, 0xD7A4)  # composed by arithmetic
WIDTH = 100

nfc, nfd = normalizers.NFC().normalize_str, normalizers.NFD().normalize_str


def members(expression):
    """The characters that match, of CHARACTERS: those that splitting takes away."""
    left = pre_tokenizers.Split(Regex(expression), "removed").pre_tokenize_str("".join(CHARACTERS))
    found, end = [], 0
    for _, (begin, next_end) in left:
        found += CHARACTERS[end:begin]
        end = next_end
    return found + CHARACTERS[end:]


def class_of_each():
    of = {}
    for number, expression in enumerate(CLASSES[1:], 1):
        for character in members(expression):
            assert character not in of, f"U+{ord(character):04X} has two classes"
            of[character] = number
    assert sum(of[c] in (2, 3, 4) for c in of) == len(members(r"\p{L}"))
    return of


def moves(first, second):
    return first != second and nfd("a" + first + second) == "a" + second + first


def combining_classes(marks):
    """How canonical ordering moves each mark past marks whose class is known from Python."""
    known = {}
    for mark in marks:
        # Past a mark of the lowest class or before one of the highest; marks of later versions of Unicode stay.
        if unicodedata.combining(mark) and nfd(mark) == mark and (moves(mark, "\u0334") or moves("\u0345", mark)):
            known.setdefault(unicodedata.combining(mark), mark)
    of = {}
    for mark in marks:
        if nfd(mark) != mark:
            continue
        below = [number for number, other in known.items() if moves(mark, other)]
        above = [number for number, other in known.items() if moves(other, mark)]
        if not below and not above:
            continue
        equal = [number for number in known if number not in below and number not in above]
        assert len(equal) == 1, f"U+{ord(mark):04X} has a combining class that Python does not know"
        of[mark] = equal[0]
    return of


def decompositions():
    """(character, first, second) of those that compose again, and of the others; second is 0 where there is one only."""
    whole = {c: nfd(c) for c in CHARACTERS if ord(c) not in HANGUL and nfd(c) != c}
    composed_of = {decomposed: c for c, decomposed in whole.items() if nfc(c) == c}
    composing, other = [], []
    for c, decomposed in whole.items():
        composed = nfc(c)
        if composed != c and len(composed) == 1:
            other.append((ord(c), ord(composed), 0))
            continue
        first = decomposed[:-1]
        if len(first) > 1:
            first = next(d for d, parts in whole.items() if parts == first) if composed != c else composed_of[first]
        (composing if composed == c else other).append((ord(c), ord(first), ord(decomposed[-1])))
    return composing, other


def runs(of, bits):
    """(begin << bits) | value for each run of code points of one value."""
    result, before = [], None
    for code in range(0x110000):
        value = of.get(chr(code), 0)
        if value != before:
            result.append(code << bits | value)
            before = value
    return result


def array(name, element, values):
    lines, line = [], ""
    for value in values:
        if len(line) + len(value) + 1 > WIDTH:
            lines.append(line)
            line = ""
        line += value + ","
    return "\n".join([f"const {element} {name}[] = {{", *lines, line, "};", f"const std::size_t {name}Size = std::size({name});", ""])


def main():
    classes = class_of_each()
    marks = [c for c in CHARACTERS if classes.get(c) == CLASSES.index(r"\p{M}")]
    composing, other = decompositions()
    triples = [["{" + ",".join(map(str, triple)) + "}" for triple in group] for group in (composing, other)]
    print(f"""\
// Made by scripts/unicode_tables.py from tokenizers {tokenizers.__version__}: change that instead.
#include "data/unicode_tables.h"

#include <iterator>

namespace zebra::unicode {{

// clang-format off
{array("kClassRuns", "std::uint32_t", map(str, runs(classes, 4)))}
{array("kCombiningClassRuns", "std::uint32_t", map(str, runs(combining_classes(marks), 8)))}
{array("kCompositions", "Decomposition", triples[0])}
{array("kOtherDecompositions", "Decomposition", triples[1])}
// clang-format on

}}  // namespace zebra::unicode""")


if __name__ == "__main__":
    main()
