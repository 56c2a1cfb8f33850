#include "data/utf8.h"

#include <string>
#include <utility>

#include "support/catch.h"

using namespace zebra;

TEST_CASE("Well-formed UTF-8 is told from what only looks like it", "[data][utf8]") {
  const std::string ascii(37, 'a');
  for (const std::string good : {"", "a", "é", "日", "🦓", "\xED\x9F\xBF", "\xEE\x80\x80",
                                 "\xF4\x8F\xBF\xBF", "\xF0\x90\x80\x80", "\xE0\xA0\x80"}) {
    CHECK(is_valid_utf8(good));
    CHECK(is_valid_utf8(ascii + good + ascii));
  }
  CHECK(is_valid_utf8(std::string(3, '\0')));
  for (const std::string bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3", "\xE6\x97", "\xF0\x9F\xA6"}) {
    CHECK_FALSE(is_valid_utf8(bad));
    CHECK_FALSE(is_valid_utf8(ascii + bad));
    CHECK_FALSE(is_valid_utf8(bad + ascii));
  }
}

TEST_CASE("A cut is moved back to the start of a character", "[data][utf8]") {
  const std::string text = "aé日🦓b";  // characters begin at 0, 1, 3, 6, 10
  const std::size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
  for (std::size_t position = 0; position <= text.size(); ++position) {
    CHECK(character_boundary(text, position) == expected[position]);
  }
  const std::string broken = "\x80\x80\x80\x80\x80\x80";
  CHECK(character_boundary(broken, 5) == 5);
}

// The numbers are those of Python's bytes.decode(errors="replace").
TEST_CASE("What is no UTF-8 is replaced, one mark for each beginning of a character",
          "[data][utf8]") {
  const auto marks = [](int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += "\xEF\xBF\xBD";
    return text;
  };
  CHECK(with_replacements("") == "");
  CHECK(with_replacements("aé🦓") == "aé🦓");
  const std::pair<std::string, int> broken[] = {
      {"\xFF\x80", 2},         {"\xC3", 1},         {"\xE2\x96", 1},         {"\xF0\x9F\xA6", 1},
      {"\xED\xA0\x80", 3},     {"\xE0\x80", 2},     {"\xF4\x90\x80\x80", 4}, {"\xF0\x8F\xBF", 3},
      {"\xF5\x80\x80\x80", 4}, {"\xE6\x97\xE6", 2}, {"\xC1\xBF", 2}};
  for (const auto& [text, count] : broken) {
    CAPTURE(text);
    CHECK(with_replacements("a" + text + "z") == "a" + marks(count) + "z");
    CHECK(with_replacements(text) == marks(count));
  }
}
