#include "data/chat_tokens.h"

#include "base/error.h"
#include "byte_tokenizer.h"

using namespace zebra;
using namespace zebra::test;

namespace {

ChatPiece text(const std::string& content, bool trained = false) { return {content, -1, trained}; }

/// The text of the tokens that are trained.
std::string trained_text(const ChatTokens& tokens, const Tokenizer& tokenizer) {
  Tokens ids;
  for (std::size_t i = 0; i < tokens.ids.size(); ++i)
    if (tokens.trained[i] != 0) ids.push_back(tokens.ids[i]);
  return tokenizer.decode(ids);
}

}  // namespace

TEST_CASE("Control tokens are themselves, and text between them its tokens", "[data][chat]") {
  const TempFolder folder;
  const Tokenizer tokenizer(byte_tokenizer(folder, {{"<end>"}}));
  const std::vector<ChatPiece> pieces = {
      {"<s>", 256, false}, text("a<end>"), text("b", true), {"<end>", 258, true}, text("\n")};
  const auto tokens = encode_chat(pieces, tokenizer);
  CHECK(tokens.ids == Tokens{256, 'a', '<', 'e', 'n', 'd', '>', 'b', 258, '\n'});
  CHECK(tokens.trained == std::vector<std::uint8_t>{0, 0, 0, 0, 0, 0, 0, 1, 1, 0});
  CHECK(tokens.targets() == 2);
  CHECK(tokens.text_bytes == 8);
  CHECK(encode_chat({}, tokenizer).ids.empty());
}

TEST_CASE("A token counts where some of its text is trained", "[data][chat]") {
  const Tokenizer tokenizer(test_tokenizer());
  const std::string prompt = "for val", answer = "ue in range";
  const std::vector<ChatPiece> pieces = {text(prompt), text(answer, true), text(" index")};
  const auto tokens = encode_chat(pieces, tokenizer);
  CHECK(tokens.ids == tokenizer.encode("for value in range index"));
  CHECK(tokenizer.decode(tokens.ids) == "for value in range index");
  // "value" is one token of that tokenizer, so that its begin is a target with its end.
  const auto trained = trained_text(tokens, tokenizer);
  CHECK(contains(trained, "value in range"));
  CHECK_FALSE(contains(trained, "for"));
  CHECK_FALSE(contains(trained, "index"));
}

TEST_CASE("All bytes of a character that is trained count", "[data][chat]") {
  const TempFolder folder;
  for (const auto& file : {test_tokenizer(), byte_tokenizer(folder, {})}) {
    const Tokenizer tokenizer(file);
    const std::vector<ChatPiece> pieces = {text("ä"), text("𝔘", true), text("𝔅")};
    const auto tokens = encode_chat(pieces, tokenizer);
    CHECK(tokens.ids == tokenizer.encode("ä𝔘𝔅"));
    CHECK(trained_text(tokens, tokenizer) == "𝔘");
  }
}

TEST_CASE("A tokenizer that composes is asked about composed text", "[data][chat]") {
  const TempFolder folder;
  const Tokenizer tokenizer(byte_tokenizer(folder, {}, /*composes=*/true));
  const std::vector<ChatPiece> pieces = {text("e\xCC\x81:"), text("a\xCC\x88", true), text("!")};
  const auto tokens = encode_chat(pieces, tokenizer);
  CHECK(tokens.ids == tokenizer.encode("é:ä!"));
  CHECK(trained_text(tokens, tokenizer) == "ä");
}

TEST_CASE("Tokens of models that put a space in front of a text", "[data][chat]") {
  const TempFolder folder;
  for (const std::string spaces : {"true", "false"}) {
    const Tokenizer tokenizer(
        foreign_tokenizer(folder, {{"model_type", "bpe"}, {"remove_extra_whitespaces", spaces}}));
    const std::vector<ChatPiece> pieces = {
        text("return", true), {"</s>", 2, true}, text("for value "), text("in", true)};
    const auto tokens = encode_chat(pieces, tokenizer);
    auto expected = tokenizer.encode("return");
    const auto first = expected.size();
    expected.push_back(2);
    for (const auto id : tokenizer.encode("for value in")) expected.push_back(id);
    CHECK(tokens.ids == expected);
    for (std::size_t i = 0; i <= first; ++i) CHECK(tokens.trained[i] == 1);
    CHECK(trained_text(tokens, tokenizer).ends_with("in"));
    CHECK_FALSE(contains(trained_text(tokens, tokenizer), "value"));
  }
}

TEST_CASE("Any division of a text leaves its tokens", "[data][chat]") {
  const Tokenizer tokenizer(test_tokenizer());
  std::mt19937 random(3);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<ChatPiece> pieces;
    std::string whole;
    for (unsigned i = 0; i < 1 + random() % 5; ++i) {
      pieces.push_back(text(random_text(random), random() % 2 == 0));
      whole += pieces.back().text;
    }
    const auto tokens = encode_chat(pieces, tokenizer);
    REQUIRE(tokens.ids == tokenizer.encode(whole));
    REQUIRE(tokens.trained.size() == tokens.ids.size());
    const bool any = std::ranges::any_of(
        pieces, [](const ChatPiece& piece) { return piece.trained && !piece.text.empty(); });
    REQUIRE((tokens.targets() > 0) == any);
  }
}
