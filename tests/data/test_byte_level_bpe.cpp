#include <atomic>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "data/tokenizer.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;
using JsonFile = nlohmann::ordered_json;

namespace {

// The letters of GPT-2's bytes, written down by their rule once more.
std::string letter_of(unsigned byte) {
  const auto utf8 = [](unsigned code) {
    if (code < 0x80) return std::string(1, static_cast<char>(code));
    return std::string{static_cast<char>(0xC0U | code >> 6U),
                       static_cast<char>(0x80U | (code & 0x3FU))};
  };
  if (byte <= 0x20) return utf8(0x100 + byte);
  if (byte >= 0x7F && byte <= 0xA0) return utf8(0x121 + byte - 0x7F);
  if (byte == 0xAD) return utf8(0x143);
  return utf8(byte);
}

// Ids 0 to 255 are the bytes; then "th", "the", " the", "12", and from 260 the added tokens.
JsonFile small_file() {
  JsonFile vocabulary = JsonFile::object(), merges = JsonFile::array();
  for (unsigned byte = 0; byte < 256; ++byte) vocabulary[letter_of(byte)] = byte;
  const std::string space = letter_of(' ');
  vocabulary["th"] = 256;
  vocabulary["the"] = 257;
  vocabulary[space + "the"] = 258;
  vocabulary["12"] = 259;
  merges = {"t h", "th e", space + " the", JsonFile::array({"1", "2"})};
  const auto added = [](const char* content, int id, bool special) -> JsonFile {
    return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
            {"rstrip", false}, {"normalized", false}, {"special", special}};
  };
  return {{"version", "1.0"},
          {"added_tokens",
           JsonFile::array({added("<s>", 260, true), added("</s>", 261, true),
                            added("<tool>", 262, false), added("<tool><", 263, false)})},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", merges}}}};
}

const JsonFile kDocumentTokens = {{"bos_token", "<s>"}, {"eos_token", {{"content", "</s>"}}}};

std::string written(const TempFolder& folder, const JsonFile& file,
                    const JsonFile& config = kDocumentTokens) {
  if (!config.is_null()) folder.write("tokenizer_config.json", config.dump());
  return folder.write("tokenizer.json", file.dump());
}

}  // namespace

TEST_CASE("A tokenizer.json is byte-level BPE", "[data][tokenizer]") {
  const TempFolder folder;
  const Tokenizer tokenizer(written(folder, small_file()));
  CHECK(tokenizer.obstacle().empty());
  CHECK(tokenizer.vocab_size() == 264);
  CHECK(tokenizer.bos() == 260);
  CHECK(tokenizer.eos() == 261);
  CHECK(tokenizer.encode("the the 12") == Tokens{257, 258, ' ', 259});
  CHECK(tokenizer.encode("").empty());
  CHECK(tokenizer.encode("\xC3\xA9") == Tokens{0xC3, 0xA9});
  CHECK(tokenizer.encode_continuation("the") == Tokens{257});
  CHECK(tokenizer.decode(Tokens{257, 258, 260, 261, 263, 999, -1}) == "the the<tool><");
  CHECK(tokenizer.files().size() == 2);
  CHECK_FALSE(tokenizer.lines_are_independent());
  std::mt19937 random(7);
  for (int trial = 0; trial < 300; ++trial) {
    const std::string text = random_text(random);
    REQUIRE(tokenizer.decode(tokenizer.encode(text)) == text);
  }
}

TEST_CASE("Special tokens in a text are text, others are found, the longest first",
          "[data][tokenizer]") {
  const TempFolder folder;
  const Tokenizer tokenizer(written(folder, small_file()));
  CHECK(tokenizer.encode("<s>") == Tokens{'<', 's', '>'});
  CHECK(tokenizer.encode("a<tool>the<tool><") == Tokens{'a', 262, 257, 263});
  CHECK(tokenizer.encode("<tool") == Tokens{'<', 't', 'o', 'o', 'l'});
}

TEST_CASE("Tokens of a tokenizer.json know their bytes", "[data][tokenizer]") {
  const TempFolder folder;
  const Tokenizer tokenizer(written(folder, small_file()));
  CHECK(tokenizer.text_bytes(258) == 4);
  CHECK(tokenizer.text_bytes_at_start(258) == 4);
  CHECK(tokenizer.text_bytes(0xC3) == 1);
  CHECK(tokenizer.text_bytes(262) == 6);
  for (const std::int32_t none : {260, 261, 264, -1}) CHECK(tokenizer.text_bytes(none) == 0);
}

TEST_CASE("What is no UTF-8 becomes U+FFFD, in and out", "[data][tokenizer]") {
  const TempFolder folder;
  const Tokenizer tokenizer(written(folder, small_file()));
  const std::string unknown = "\xEF\xBF\xBD";
  CHECK(tokenizer.decode(tokenizer.encode("a\xFF\x80z")) == "a" + unknown + unknown + "z");
  CHECK(tokenizer.decode(Tokens{0xF0, 0x9F, 0xA6}) == unknown);  // a character that goes on
  CHECK(tokenizer.decode(Tokens{0xF0, 0x9F, 0xA6, 0x93}) == "\xF0\x9F\xA6\x93");
  CHECK(tokenizer.decode(Tokens{0xE0, 0x80, 'a'}) == unknown + unknown + "a");
}

TEST_CASE("Where merges are ignored a piece that is a token is that token", "[data][tokenizer]") {
  const TempFolder folder;
  auto file = small_file();
  file["model"]["merges"] = JsonFile::array({"t h"});
  CHECK(Tokenizer(written(folder, file)).encode("the") == Tokens{256, 'e'});
  file["model"]["ignore_merges"] = true;
  CHECK(Tokenizer(written(folder, file)).encode("the") == Tokens{257});
}

TEST_CASE("A normalizer composes what lies between added tokens", "[data][tokenizer]") {
  const TempFolder folder;
  auto file = small_file();
  file["normalizer"] = {{"type", "NFC"}};
  const Tokenizer tokenizer(written(folder, file));
  CHECK(tokenizer.encode("e\xCC\x81<tool>") == Tokens{0xC3, 0xA9, 262});
}

TEST_CASE("BOS and EOS come from the configuration, else from the post-processor",
          "[data][tokenizer]") {
  const TempFolder folder;
  auto file = small_file();
  const auto ids = [&](const JsonFile& config) {
    const Tokenizer tokenizer(written(folder, file, config));
    return std::pair(tokenizer.bos(), tokenizer.eos());
  };
  CHECK(ids({{"bos_token", nullptr}, {"eos_token", "</s>"}}) == std::pair(261, 261));
  CHECK(
      contains(message_of<InputError>([&] { ids(JsonFile::object()); }), "tokenizer_config.json"));
  CHECK(contains(message_of<InputError>([&] { ids({{"eos_token", "<none>"}}); }), "<none>"));
  const auto special = [](const char* token) -> JsonFile {
    return {{"SpecialToken", {{"id", token}, {"type_id", 0}}}};
  };
  const JsonFile text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const JsonFile sequence = {{"type", "TemplateProcessing"},
                             {"single", JsonFile::array({special("<s>"), text, special("</s>")})}};
  file["post_processor"] = {{"type", "Sequence"},
                            {"processors", JsonFile::array({{{"type", "ByteLevel"}}, sequence})}};
  CHECK(ids(JsonFile::object()) == std::pair(260, 261));
  CHECK(ids({{"bos_token", "<tool>"}}) == std::pair(262, 261));
}

TEST_CASE("The hash holds the file and the ids of BOS and EOS", "[data][tokenizer]") {
  const TempFolder folder;
  const auto hash = [&](const JsonFile& config) {
    return Tokenizer(written(folder, small_file(), config)).hash();
  };
  const auto first = hash(kDocumentTokens);
  CHECK(hash({{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"chat_template", "x"}}) == first);
  CHECK(hash({{"bos_token", "</s>"}, {"eos_token", "</s>"}}) != first);
}

TEST_CASE("Other tokenizers open, and say why they have no text", "[data][tokenizer]") {
  const TempFolder folder;
  const auto obstacle = [&](auto change) {
    auto file = small_file();
    change(file);
    const Tokenizer tokenizer(written(folder, file));
    CHECK(tokenizer.eos() == 261);
    CHECK(tokenizer.text_bytes(258) == 0);
    CHECK_THROWS_AS(tokenizer.encode("a"), InputError);
    CHECK_THROWS_AS(tokenizer.decode(Tokens{1}), InputError);
    CHECK(contains(tokenizer.obstacle(), "scripts/tokenize_text.py"));
    return tokenizer.obstacle();
  };
  CHECK(contains(obstacle([](JsonFile& f) { f["normalizer"] = {{"type", "NFKC"}}; }), "NFKC"));
  CHECK(contains(obstacle([](JsonFile& f) { f["pre_tokenizer"] = nullptr; }), "pre-tokenizer"));
  CHECK(contains(obstacle([](JsonFile& f) { f["pre_tokenizer"]["add_prefix_space"] = true; }),
                 "ByteLevel"));
  CHECK(contains(obstacle([](JsonFile& f) {
                   f["decoder"] = {{"type", "Metaspace"}};
                 }),
                 "Metaspace"));
  CHECK(
      contains(obstacle([](JsonFile& f) { f["model"]["byte_fallback"] = true; }), "byte_fallback"));
  CHECK(contains(obstacle([](JsonFile& f) { f["model"]["type"] = "WordPiece"; }), "WordPiece"));
  CHECK(contains(obstacle([](JsonFile& f) { f["added_tokens"][2]["lstrip"] = true; }), "lstrip"));
  CHECK(contains(obstacle([](JsonFile& f) { f["model"]["vocab"].erase("!"); }), "256 bytes"));
}

TEST_CASE("Broken files are refused by name", "[data][tokenizer]") {
  const TempFolder folder;
  const auto refusal = [&](auto change) {
    auto file = small_file();
    change(file);
    const auto path = written(folder, file);
    const auto message = message_of<InputError>([&] { Tokenizer tokenizer(path); });
    CHECK(contains(message, path));
    return message;
  };
  CHECK(contains(refusal([](JsonFile& f) { f.erase("model"); }), "no model"));
  CHECK(contains(refusal([](JsonFile& f) { f["model"].erase("vocab"); }), "no vocab"));
  CHECK(contains(refusal([](JsonFile& f) { f["model"]["vocab"]["th"] = -1; }), "\"th\""));
  CHECK(contains(refusal([](JsonFile& f) { f["model"]["vocab"]["th"] = 1LL << 40; }), "\"th\""));
  CHECK(contains(refusal([](JsonFile& f) { f["model"]["merges"].push_back("zz zz"); }), "zz"));
  CHECK(contains(refusal([](JsonFile& f) { f["model"]["merges"].push_back(7); }), "merge"));
  CHECK(contains(refusal([](JsonFile& f) { f["added_tokens"][0].erase("id"); }), "added token"));
  const auto cut = folder.write("tokenizer.json", "{\"model\": ");
  CHECK(contains(message_of<InputError>([&] { Tokenizer tokenizer(cut); }), "tokenizer.json"));
}

TEST_CASE("Threads may encode with a tokenizer.json together", "[data][tokenizer]") {
  const TempFolder folder;
  const Tokenizer tokenizer(written(folder, small_file()));
  const std::string text = code_like_text(12, 100);
  const auto expected = tokenizer.encode(text);
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        CachedEncoder encoder(tokenizer);
        for (int call = 0; call < 5; ++call) {
          Tokens tokens;
          encoder.encode(text, tokens);
          if (tokens != expected) ++wrong;
        }
      });
    }
  }
  CHECK(wrong == 0);
}
