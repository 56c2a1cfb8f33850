#include "eval/generate.h"

#include <string>
#include <vector>

#include "data/data_support.h"

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
