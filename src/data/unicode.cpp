#include "data/unicode.h"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "data/unicode_tables.h"

namespace zebra::unicode {
namespace {

constexpr char32_t kCodePoints = 0x110000;

// Hangul syllables compose by arithmetic (The Unicode Standard, section 3.12).
constexpr char32_t kSyllable = 0xAC00, kLead = 0x1100, kVowel = 0x1161, kTrail = 0x11A7;
constexpr char32_t kLeads = 19, kVowels = 21, kTrails = 28, kSyllables = kLeads * kVowels * kTrails;

constexpr bool is_within(char32_t character, char32_t begin, char32_t count) {
  return character >= begin && character - begin < count;
}

// Runs of code points as a table with an entry for each.
std::vector<std::uint8_t> expanded(const std::uint32_t* runs, std::size_t size, unsigned bits) {
  std::vector<std::uint8_t> table(kCodePoints);
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t end = i + 1 < size ? runs[i + 1] >> bits : kCodePoints;
    const auto value = static_cast<std::uint8_t>(runs[i] & ((1U << bits) - 1U));
    std::fill(table.begin() + static_cast<std::ptrdiff_t>(runs[i] >> bits),
              table.begin() + static_cast<std::ptrdiff_t>(end), value);
  }
  return table;
}

constexpr std::uint64_t pair_key(char32_t first, char32_t second) {
  return static_cast<std::uint64_t>(first) << 32U | second;
}

struct Normalization {
  std::vector<std::uint8_t> combining_class =
      expanded(kCombiningClassRuns, kCombiningClassRunsSize, 8);
  std::unordered_map<char32_t, std::pair<char32_t, char32_t>> decompositions;
  std::unordered_map<std::uint64_t, char32_t> compositions;  // by pair_key
  // Characters that may change, or join what stands before them.
  std::vector<bool> may_change = std::vector<bool>(kCodePoints);

  Normalization() {
    const auto add = [this](const Decomposition& d) {
      decompositions[d.character] = {d.first, d.second};
    };
    for (std::size_t i = 0; i < kCompositionsSize; ++i) {
      const auto& d = kCompositions[i];
      add(d);
      compositions[pair_key(d.first, d.second)] = d.character;
      may_change[d.second] = true;
    }
    for (std::size_t i = 0; i < kOtherDecompositionsSize; ++i) {
      add(kOtherDecompositions[i]);
      may_change[kOtherDecompositions[i].character] = true;
    }
    for (char32_t i = 0; i < kVowels; ++i) may_change[kVowel + i] = true;
    for (char32_t i = 1; i < kTrails; ++i) may_change[kTrail + i] = true;
    for (char32_t c = 0; c < kCodePoints; ++c)
      if (combining_class[c] != 0) may_change[c] = true;
  }

  static const Normalization& tables() {
    static const Normalization made;
    return made;
  }

  void append_decomposed(char32_t character, std::u32string& text) const {
    if (is_within(character, kSyllable, kSyllables)) {
      const char32_t index = character - kSyllable;
      text += kLead + index / (kVowels * kTrails);
      text += kVowel + index / kTrails % kVowels;
      if (index % kTrails != 0) text += kTrail + index % kTrails;
      return;
    }
    const auto found = decompositions.find(character);
    if (found == decompositions.end()) {
      text += character;
      return;
    }
    append_decomposed(found->second.first, text);
    if (found->second.second != 0) append_decomposed(found->second.second, text);
  }

  // What two characters compose to; 0 where they do not.
  char32_t composed(char32_t first, char32_t second) const {
    if (is_within(first, kLead, kLeads) && is_within(second, kVowel, kVowels))
      return kSyllable + ((first - kLead) * kVowels + (second - kVowel)) * kTrails;
    if (is_within(first, kSyllable, kSyllables) && (first - kSyllable) % kTrails == 0 &&
        is_within(second, kTrail + 1, kTrails - 1)) {
      return first + (second - kTrail);
    }
    const auto found = compositions.find(pair_key(first, second));
    return found == compositions.end() ? 0 : found->second;
  }

  // Marks between two starters by their class, those of one class as they stand.
  void order_marks(std::u32string& text) const {
    for (std::size_t begin = 0; begin < text.size(); ++begin) {
      if (combining_class[text[begin]] == 0) continue;
      std::size_t end = begin;
      while (end < text.size() && combining_class[text[end]] != 0) ++end;
      std::stable_sort(
          text.begin() + static_cast<std::ptrdiff_t>(begin),
          text.begin() + static_cast<std::ptrdiff_t>(end),
          [this](char32_t a, char32_t b) { return combining_class[a] < combining_class[b]; });
      begin = end;
    }
  }

  // Joins each character to the starter before it that nothing separates it from.
  std::u32string composed(const std::u32string& text) const {
    std::u32string result;
    std::size_t starter = std::u32string::npos;
    for (const char32_t character : text) {
      const unsigned own = combining_class[character];
      if (starter != std::u32string::npos) {
        const bool is_next = starter + 1 == result.size();
        const unsigned before = is_next ? 0 : combining_class[result.back()];
        const bool is_blocked = !is_next && (before == 0 || before >= own);
        const char32_t joined = is_blocked ? 0 : composed(result[starter], character);
        if (joined != 0) {
          result[starter] = joined;
          continue;
        }
      }
      if (own == 0) starter = result.size();
      result += character;
    }
    return result;
  }

  // A character and those behind it that may change.
  void append_normalized(const std::u32string& run, std::string& text) const {
    std::u32string decomposed;
    for (const char32_t character : run) append_decomposed(character, decomposed);
    order_marks(decomposed);
    for (const char32_t character : composed(decomposed)) append_utf8(text, character);
  }
};

}  // namespace

CharacterClass class_of(char32_t character) {
  static const std::vector<std::uint8_t> classes = expanded(kClassRuns, kClassRunsSize, 4);
  return static_cast<CharacterClass>(classes[character]);
}

void append_utf8(std::string& text, char32_t character) {
  const auto put = [&text](char32_t byte) { text += static_cast<char>(byte); };
  if (character < 0x80) {
    put(character);
  } else if (character < 0x800) {
    put(0xC0U | character >> 6U);
    put(0x80U | (character & 0x3FU));
  } else if (character < 0x10000) {
    put(0xE0U | character >> 12U);
    put(0x80U | (character >> 6U & 0x3FU));
    put(0x80U | (character & 0x3FU));
  } else {
    put(0xF0U | character >> 18U);
    put(0x80U | (character >> 12U & 0x3FU));
    put(0x80U | (character >> 6U & 0x3FU));
    put(0x80U | (character & 0x3FU));
  }
}

std::string nfc(std::string_view text) {
  // Below U+0300, whose first byte is 0xCC, nothing changes.
  if (std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0xCC; }))
    return std::string(text);
  const auto& tables = Normalization::tables();
  std::string result;
  std::u32string run;
  const auto end_run = [&] {
    if (run.size() == 1 && !tables.may_change[run[0]]) {
      append_utf8(result, run[0]);
    } else if (!run.empty()) {
      tables.append_normalized(run, result);
    }
    run.clear();
  };
  while (!text.empty()) {
    const auto character = first_character(text);
    text.remove_prefix(character.bytes);
    if (!tables.may_change[character.code]) end_run();
    run += character.code;
  }
  end_run();
  return result;
}

}  // namespace zebra::unicode
