#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace zebra::unicode {

/// General categories as split patterns tell them apart, and white space (\s).
enum class CharacterClass : std::uint8_t {
  other,        // controls, formats, unassigned code points
  space,        // \s
  upper,        // Lu, Lt
  lower,        // Ll
  letter,       // Lm, Lo
  mark,         // M
  number,       // N
  punctuation,  // P
  symbol,       // S
};

/// The class of a code point up to U+10FFFF.
CharacterClass class_of(char32_t character);

/// A character of a text and the bytes that it takes.
struct Character {
  char32_t code = 0;
  std::size_t bytes = 0;
};

/// The character that `text`, which is not empty and is well-formed UTF-8, begins with.
inline Character first_character(std::string_view text) {
  const auto byte = [text](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[i]));
  };
  const auto low = [byte](std::size_t i) { return byte(i) & 0x3FU; };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1FU) << 6U | low(1), 2};
  if (lead < 0xF0) return {(lead & 0x0FU) << 12U | low(1) << 6U | low(2), 3};
  return {(lead & 0x07U) << 18U | low(1) << 12U | low(2) << 6U | low(3), 4};
}

/// Appends a code point as UTF-8.
void append_utf8(std::string& text, char32_t character);

/// Canonical composition (NFC) of well-formed UTF-8.
std::string nfc(std::string_view text);

}  // namespace zebra::unicode
