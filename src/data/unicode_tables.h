#pragma once

#include <cstddef>
#include <cstdint>

namespace zebra::unicode {

// What scripts/unicode_tables.py found out, for unicode.cpp.

/// A character and what it canonically decomposes into: one character (`second` is 0), or two, the
/// first of which may decompose further.
struct Decomposition {
  std::uint32_t character, first, second;
};

// Runs of code points that are alike, the first of each run above the bits that they have in
// common: 4 bits of CharacterClass, 8 bits of the canonical combining class.
extern const std::uint32_t kClassRuns[];
extern const std::size_t kClassRunsSize;
extern const std::uint32_t kCombiningClassRuns[];
extern const std::size_t kCombiningClassRunsSize;

// Without Hangul syllables, in the order of the characters: those that composition makes, and those
// that it never makes.
extern const Decomposition kCompositions[];
extern const std::size_t kCompositionsSize;
extern const Decomposition kOtherDecompositions[];
extern const std::size_t kOtherDecompositionsSize;

}  // namespace zebra::unicode
