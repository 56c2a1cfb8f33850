#include "eval/generated_text.h"

#include <string>
#include <vector>

#include "data/data_support.h"
#include "data/utf8.h"

using namespace zebra;
using namespace zebra::test;

namespace {

/// What the tokens of `rest` add to a prompt, one by one and together with what was held back.
std::string added(const Tokenizer& tokenizer, const std::string& prompt,
                  const std::vector<std::int32_t>& rest) {
  auto tokens = tokenizer.encode(prompt);
  tokens.insert(tokens.begin(), tokenizer.bos());
  GeneratedText text(tokenizer, tokens);
  std::string result;
  for (const auto token : rest) {
    const auto part = text.add(token);
    CHECK_FALSE(part.ends_with("\xEF\xBF\xBD"));
    result += part;
  }
  return result + text.finish();
}

}  // namespace

TEST_CASE("A continuation keeps the space before its first word", "[eval][generate]") {
  const TempFolder folder;
  const Tokenizer tokenizer(foreign_tokenizer(folder, {{"model_type", "bpe"},
                                                       {"normalization_rule_name", "identity"},
                                                       {"remove_extra_whitespaces", "false"}}));
  CHECK(added(tokenizer, "return", tokenizer.encode("value in range")) == " value in range");
  CHECK(added(tokenizer, "", tokenizer.encode("value")) == "value");
  std::string text;
  while (text.size() < 3000) text += "return value  for index\n日本語 🦓 ";
  CHECK(added(tokenizer, text, tokenizer.encode_continuation(text)) == text);
  const Tokenizer ours(test_tokenizer());
  CHECK(added(ours, "return", ours.encode(" value 🦓")) == " value 🦓");
  CHECK(added(ours, text, ours.encode(text)) == text);
}

TEST_CASE("A character cut in two is given out whole, or at the end as far as it goes",
          "[eval][generate]") {
  const Tokenizer tokenizer(test_tokenizer());
  const auto bytes = tokenizer.encode("\xF0\x9F\xA6\x94");  // of no piece: four byte tokens
  REQUIRE(bytes.size() == 4);
  GeneratedText text(tokenizer, {tokenizer.bos()});
  for (std::size_t i = 0; i < 3; ++i) CHECK(text.add(bytes[i]).empty());
  CHECK(text.add(bytes[3]) == "\xF0\x9F\xA6\x94");
  CHECK(text.add(bytes[0]).empty());
  CHECK(text.finish() == "\xEF\xBF\xBD");
}

TEST_CASE("A text ends before the first stop string that is whole, however it is cut",
          "[eval][generate]") {
  struct Case {
    std::vector<std::string> stops;
    std::string text, expected;
    bool found;
  };
  const Case all[] = {
      {{}, "all of it", "all of it", false},
      {{"STOP"}, "go on STOP and on", "go on ", true},
      {{"STOP"}, "STOP", "", true},
      {{"STOP"}, "STO STO", "STO STO", false},
      {{"STOP"}, "STSTOP", "ST", true},
      {{"aab"}, "aaab", "a", true},
      {{"\n\n", "END"}, "one\ntwoEN\n\nEND", "one\ntwoEN", true},
      {{"abcd", "bc"}, "xabcd", "xa", true},                  // bc is whole before abcd
      {{"c", "abc"}, "xabc", "x", true},                      // they end together
      {{"\xC3\xA8"}, "caf\xC3\xA9s", "caf\xC3\xA9s", false},  // è and é: one lead byte
      {{"🦔"}, "🦓🦔", "🦓", true}};
  for (const auto& [stops, text, expected, found] : all) {
    INFO(text);
    // Whole characters; parts of one to all of them.
    std::vector<std::string> characters;
    for (const char byte : text) {
      if ((byte & 0xC0) == 0x80) {
        characters.back() += byte;
      } else {
        characters.emplace_back(1, byte);
      }
    }
    for (std::size_t size = 1; size <= characters.size(); ++size) {
      StopStrings stop_strings(stops);
      std::string given;
      for (std::size_t begin = 0; begin < characters.size(); begin += size) {
        std::string part;
        for (auto i = begin; i < std::min(begin + size, characters.size()); ++i)
          part += characters[i];
        const auto out = stop_strings.add(part);
        CHECK(is_valid_utf8(out));
        given += out;
        CHECK(expected.starts_with(given));  // nothing is given out that has to be taken back
      }
      given += stop_strings.finish();
      CHECK(given == expected);
      CHECK(stop_strings.found() == found);
    }
  }
}

TEST_CASE("Text is held back only as long as it may become a stop string", "[eval][generate]") {
  StopStrings stop_strings({"STOP"});
  CHECK(stop_strings.add("a S") == "a ");
  CHECK(stop_strings.add("T") == "");
  CHECK(stop_strings.add("x") == "STx");
  CHECK(stop_strings.add("STO") == "");
  CHECK(stop_strings.finish() == "STO");
}

TEST_CASE("A stop string may span tokens, and end within one", "[eval][generate]") {
  const Tokenizer tokenizer(test_tokenizer());
  const auto tokens = tokenizer.encode("return value in range 🦔 return");
  const auto until = [&](const std::string& stop) {
    GeneratedText text(tokenizer, {tokenizer.bos()}, {stop});
    std::string result;
    for (const auto token : tokens) {
      if (text.stopped()) break;
      result += text.add(token);
    }
    const bool stopped = text.stopped();
    result += text.finish();
    return result + (stopped ? "|" : "");
  };
  CHECK(until("lue in ra") == "return va|");
  CHECK(until("🦔") == "return value in range |");
  CHECK(until("e ret") == "return value in range 🦔 return");
  CHECK(until("r") == "|");
}
