#include "data/split_pattern.h"

#include <map>
#include <string>
#include <vector>

#include "support/catch.h"

using namespace zebra;

namespace {

using Pieces = std::vector<std::string>;

Pieces pieces_of(SplitPattern pattern, std::string_view text) {
  Pieces pieces;
  while (!text.empty()) {
    const std::size_t bytes = first_piece(pattern, text);
    REQUIRE(bytes > 0);
    REQUIRE(bytes <= text.size());
    pieces.emplace_back(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
  return pieces;
}

}  // namespace

// The pieces are those of the package `tokenizers` 0.23.3.
TEST_CASE("Each pattern splits text as the package does", "[data][tokenizer]") {
  const std::vector<std::string> texts = {"It's  a DON'T",
                                          "x  \n\n  y \n z",
                                          "1234567 a1b22",
                                          "::a//b ...\n\n\xC3\xA7?",
                                          "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E"
                                          "aB ABCdef's e\xCC\x81x",
                                          "\tif\xC2\xA0x\xE3\x80\x80\xE3\x80\x80y'S'\xC5\xBF",
                                          "a\xE2\x80\x8B"
                                          "b\xE2\x80\x8B \xE2\x80\x8B"};
  const std::string japanese = "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E", wide = "\xE3\x80\x80",
                    joiner = "\xE2\x80\x8B", hard = "\xC2\xA0", acute = "\xCC\x81",
                    cedilla = "\xC3\xA7", long_s = "\xC5\xBF";
  const std::map<SplitPattern, std::vector<Pieces>> expected = {
      {SplitPattern::gpt2,
       {{"It", "'s", " ", " a", " DON", "'", "T"},
        {"x", "  \n\n ", " y", " \n", " z"},
        {"1234567", " a", "1", "b", "22"},
        {"::", "a", "//", "b", " ...", "\n", "\n", cedilla, "?"},
        {japanese + "aB", " ABCdef", "'s", " e", acute, "x"},
        {"\t", "if", hard, "x", wide, wide, "y", "'", "S", "'", long_s},
        {"a", joiner, "b", joiner, " " + joiner}}},
      {SplitPattern::llama3,
       {{"It", "'s", " ", " a", " DON", "'T"},
        {"x", "  \n\n", " ", " y", " \n", " z"},
        {"123", "456", "7", " a", "1", "b", "22"},
        {"::", "a", "//", "b", " ...\n\n", cedilla, "?"},
        {japanese + "aB", " ABCdef", "'s", " e", acute + "x"},
        {"\tif", hard + "x", wide, wide + "y", "'S", "'" + long_s},
        {"a", joiner + "b", joiner, " " + joiner}}},
      {SplitPattern::qwen2,
       {{"It", "'s", " ", " a", " DON", "'T"},
        {"x", "  \n\n", " ", " y", " \n", " z"},
        {"1", "2", "3", "4", "5", "6", "7", " a", "1", "b", "2", "2"},
        {"::", "a", "//", "b", " ...\n\n", cedilla, "?"},
        {japanese + "aB", " ABCdef", "'s", " e", acute + "x"},
        {"\tif", hard + "x", wide, wide + "y", "'S", "'" + long_s},
        {"a", joiner + "b", joiner, " " + joiner}}},
      {SplitPattern::o200k,
       {{"It's", " ", " a", " DON'T"},
        {"x", "  \n\n", " ", " y", " \n", " z"},
        {"123", "456", "7", " a", "1", "b", "22"},
        {"::", "a", "//", "b", " ...\n\n", cedilla, "?"},
        {japanese + "a", "B", " ABCdef's", " e" + acute + "x"},
        {"\tif", hard + "x", wide, wide + "y'S", "'" + long_s},
        {"a", joiner + "b", joiner, " " + joiner}}},
      {SplitPattern::deepseek,
       {{"It", "'s", " ", " a", " DON", "'T"},
        {"x", "  \n\n", " ", " y", " \n", " z"},
        {"123", "456", "7", " a", "1", "b", "22"},
        {"::", "a", "//", "b", " ...\n\n", cedilla, "?"},
        {japanese, "aB", " ABCdef", "'s", " e" + acute + "x"},
        {"\tif", hard + "x", wide, wide + "y", "'S", "'", long_s},
        {"a", joiner + "b", joiner, " ", joiner}}}};
  for (const auto& [pattern, all] : expected) {
    for (std::size_t i = 0; i < texts.size(); ++i) {
      CAPTURE(static_cast<int>(pattern), texts[i]);
      CHECK(pieces_of(pattern, texts[i]) == all[i]);
    }
  }
}

TEST_CASE("A pattern is known by all of its expressions", "[data][tokenizer]") {
  const std::string gpt2 =
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  CHECK(split_pattern_of({gpt2}) == SplitPattern::gpt2);
  CHECK_FALSE(split_pattern_of({}));
  CHECK_FALSE(split_pattern_of({gpt2, gpt2}));
  CHECK_FALSE(split_pattern_of({gpt2 + " "}));
  CHECK_FALSE(split_pattern_of({R"(\p{N}{1,3})"}));  // the first of DeepSeek's three
}
