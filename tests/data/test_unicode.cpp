#include "data/unicode.h"

#include <string>
#include <utility>
#include <vector>

#include "support/catch.h"

using namespace zebra;
using unicode::CharacterClass;

TEST_CASE("Characters have the classes of Unicode", "[data][unicode]") {
  const std::vector<std::pair<char32_t, CharacterClass>> expected = {
      {U'\0', CharacterClass::other},    {U'\t', CharacterClass::space},
      {0x1C, CharacterClass::other},     {U' ', CharacterClass::space},
      {U'A', CharacterClass::upper},     {U'z', CharacterClass::lower},
      {U'7', CharacterClass::number},    {U'_', CharacterClass::punctuation},
      {U'$', CharacterClass::symbol},    {0x85, CharacterClass::space},
      {0xA0, CharacterClass::space},     {0xAA, CharacterClass::letter},
      {0xBD, CharacterClass::number},    {0x1C5, CharacterClass::upper},  // title case
      {0x2B0, CharacterClass::letter},   {0x301, CharacterClass::mark},
      {0x4E2D, CharacterClass::letter},  {0x200B, CharacterClass::other},
      {0x3000, CharacterClass::space},   {0x180E, CharacterClass::other},
      {0x1F993, CharacterClass::symbol}, {0xE000, CharacterClass::other},
      {0xE0100, CharacterClass::mark},   {0x10FFFF, CharacterClass::other}};
  for (const auto& [character, kind] : expected) {
    CAPTURE(static_cast<unsigned>(character));
    CHECK(unicode::class_of(character) == kind);
  }
}

TEST_CASE("Characters go to UTF-8 and back", "[data][unicode]") {
  for (const char32_t code : {U'\0', U'a', U'\x7F', U'\x80', U'\u07FF', U'\u0800', U'\uFFFF',
                              U'\U00010000', U'\U0010FFFF'}) {
    std::string text;
    unicode::append_utf8(text, code);
    const auto character = unicode::first_character(text + "z");
    CHECK(character.code == code);
    CHECK(character.bytes == text.size());
  }
}

// From the data of Unicode and its test file: marks in order, excluded and Hangul compositions.
TEST_CASE("Canonical composition", "[data][unicode]") {
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"", ""},
      {"plain \xC3\xA9", "plain \xC3\xA9"},
      {"e\xCC\x81", "\xC3\xA9"},
      {"xe\xCC\x81y", "x\xC3\xA9y"},
      {"e\xCC\x81\xCC\xA3", "\xE1\xBA\xB9\xCC\x81"},             // 0301 0323: 1EB9 0301
      {"\xE1\xBA\x9B\xCC\xA3", "\xE1\xBA\x9B\xCC\xA3"},          // 1E9B 0323
      {"\xCD\x84", "\xCC\x88\xCC\x81"},                          // 0344
      {"\xE2\x84\xAB", "\xC3\x85"},                              // 212B: 00C5
      {"\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8", "\xEA\xB0\x81"},  // 1100 1161 11A8: AC01
      {"\xEA\xB0\x80\xE1\x86\xA8", "\xEA\xB0\x81"},              // AC00 11A8
      {"\xE0\xA5\x98", "\xE0\xA4\x95\xE0\xA4\xBC"},              // 0958: 0915 093C
      {"\xEF\xAC\xAC", "\xD7\xA9\xD6\xBC\xD7\x81"},              // FB2C: 05E9 05BC 05C1
      {"\xCC\x81", "\xCC\x81"}};
  for (const auto& [text, composed] : expected) {
    CAPTURE(text);
    CHECK(unicode::nfc(text) == composed);
    CHECK(unicode::nfc(composed) == composed);
  }
}
