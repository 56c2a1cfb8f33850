#include "data/utf8.h"

#include <cstdint>
#include <cstring>

namespace zebra {
namespace {

constexpr std::uint64_t kHighBits = 0x8080808080808080;

unsigned byte_at(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]);
}

bool is_continuation(unsigned byte) { return (byte & 0xC0) == 0x80; }

/// Bytes at the start of `text`, which begins with no character, that could begin one; at least 1.
std::size_t ill_formed_bytes(std::string_view text) {
  const unsigned lead = byte_at(text, 0);
  if (lead < 0xC2 || lead > 0xF4 || text.size() == 1) return 1;
  const std::size_t whole = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  const unsigned least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  const unsigned second = byte_at(text, 1);
  if (second < least || second > most) return 1;
  std::size_t bytes = 2;
  while (bytes < whole && bytes < text.size() && is_continuation(byte_at(text, bytes))) ++bytes;
  return bytes;
}

}  // namespace

std::size_t character_bytes(std::string_view text) {
  const unsigned lead = byte_at(text, 0);
  if (lead < 0x80) return 1;
  const std::size_t bytes = lead >= 0xC2 && lead < 0xE0   ? 2
                            : lead >= 0xE0 && lead < 0xF0 ? 3
                            : lead >= 0xF0 && lead < 0xF5 ? 4
                                                          : 0;
  if (bytes == 0 || text.size() < bytes) return 0;
  for (std::size_t i = 1; i < bytes; ++i) {
    if (!is_continuation(byte_at(text, i))) return 0;
  }
  const unsigned second = byte_at(text, 1);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool surrogate = lead == 0xED && second >= 0xA0;
  const bool too_large = lead == 0xF4 && second >= 0x90;
  return overlong || surrogate || too_large ? 0 : bytes;
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    std::uint64_t word = 0;
    if (text.size() >= sizeof word) {
      std::memcpy(&word, text.data(), sizeof word);
      if ((word & kHighBits) == 0) {
        text.remove_prefix(sizeof word);
        continue;
      }
    }
    const std::size_t bytes = character_bytes(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

std::size_t character_boundary(std::string_view text, std::size_t position) {
  if (position == text.size()) return position;
  std::size_t start = position;
  while (start > 0 && position - start < 3 && is_continuation(byte_at(text, start))) --start;
  return character_bytes(text.substr(start)) > position - start ? start : position;
}

std::string with_replacements(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t bytes = character_bytes(text);
    if (bytes > 0) {
      result += text.substr(0, bytes);
      text.remove_prefix(bytes);
    } else {
      result += "\xEF\xBF\xBD";
      text.remove_prefix(ill_formed_bytes(text));
    }
  }
  return result;
}

}  // namespace zebra
