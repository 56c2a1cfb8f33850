#include "data/tokenizer.h"

#include <atomic>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

TEST_CASE("Every text without U+2581 survives encoding and decoding", "[data][tokenizer]") {
  const Tokenizer tokenizer(test_tokenizer());
  const std::string zeros(3, '\0');
  for (const std::string& text :
       {std::string(), std::string(" "), std::string("   \n  \n\n "), std::string("a\r\nb\r\n"),
        std::string("\t\tx\t y\n"), std::string("  lead and trail  "), zeros, "a" + zeros + "b",
        std::string("<s> </s> <unk> <pad> <0x0A>"), std::string("<s></s>"), std::string("日本語é"),
        std::string("👩‍👩‍👧 🦓🦓"),
        std::string("\xE2\x81\x87 \xE2\x96\x85 \xEF\xBF\xBD"), std::string("\xEF\xBB\xBFstart"),
        std::string("e\xCC\x81\xC2\xA0\xE3\x80\x80 ﬁ"), code_like_text(44, 300)}) {
    CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
  }
  std::mt19937 random(3);
  for (int trial = 0; trial < 1500; ++trial) {
    const std::string text = random_text(random);
    REQUIRE(tokenizer.decode(tokenizer.encode(text)) == text);
  }
}

TEST_CASE("Text that looks like control tokens is text", "[data][tokenizer]") {
  const Tokenizer tokenizer(test_tokenizer());
  CHECK(tokenizer.bos() == 1);
  CHECK(tokenizer.eos() == 2);
  for (const auto id : tokenizer.encode("<s>a</s><unk>")) {
    CHECK(id > 2);
  }
  CHECK(tokenizer.decode(std::vector<std::int32_t>{1, 2}).empty());
}

TEST_CASE("What else a tokenizer says of itself", "[data][tokenizer]") {
  const Tokenizer tokenizer(test_tokenizer());
  CHECK(tokenizer.vocab_size() == kTestVocabSize);
  CHECK(tokenizer.path() == test_tokenizer());
  CHECK(tokenizer.hash() == hash_of(content_of(test_tokenizer())));
  CHECK(tokenizer.lines_are_independent());
  CHECK(tokenizer.words_are_independent());
}

TEST_CASE("Tokens know the bytes of text they stand for", "[data][tokenizer]") {
  const Tokenizer tokenizer(test_tokenizer());
  for (const std::int32_t none : {0, 1, 2, -1, static_cast<int>(kTestVocabSize), 1 << 30}) {
    CHECK(tokenizer.text_bytes(none) == 0);
  }
  std::mt19937 random(5);
  for (int trial = 0; trial < 300; ++trial) {
    const std::string text = trial == 0 ? code_like_text(9, 200) : random_text(random);
    std::int64_t bytes = 0;
    for (const auto id : tokenizer.encode(text)) bytes += tokenizer.text_bytes(id);
    REQUIRE(bytes == static_cast<std::int64_t>(text.size()));
  }
  CHECK(tokenizer.text_bytes(tokenizer.encode("\x01").at(0)) == 1);
}

TEST_CASE("Ids beyond the vocabulary stand for no text", "[data][tokenizer]") {
  const Tokenizer tokenizer(test_tokenizer());
  auto tokens = tokenizer.encode("value");
  tokens.insert(tokens.begin(), static_cast<std::int32_t>(kTestVocabSize));
  tokens.push_back(-7);
  CHECK(tokenizer.decode(tokens) == "value");
}

TEST_CASE("Invalid UTF-8 becomes the replacement character", "[data][tokenizer]") {
  const Tokenizer tokenizer(test_tokenizer());
  CHECK(tokenizer.decode(tokenizer.encode("a\xFF\x80z")) == "a\xEF\xBF\xBD\xEF\xBF\xBDz");
}

TEST_CASE("Threads may encode together", "[data][tokenizer]") {
  const Tokenizer tokenizer(test_tokenizer());
  const std::string text = code_like_text(12, 100);
  const auto expected = tokenizer.encode(text);
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int call = 0; call < 10; ++call) {
          if (tokenizer.encode(text) != expected) ++wrong;
        }
      });
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("Files that are no usable tokenizer are refused by name", "[data][tokenizer]") {
  const TempFolder folder;
  const auto refusal = [](const std::string& path) {
    const auto message = message_of<InputError>([&] { Tokenizer tokenizer(path); });
    CHECK(contains(message, path));
    return message;
  };
  refusal((folder / "missing").string());
  CHECK(contains(refusal(folder.write("empty", "")), "not a SentencePiece model"));
  CHECK(
      contains(refusal(folder.write("text", "not a model at all\n")), "not a SentencePiece model"));
  const std::string model = content_of(test_tokenizer());
  refusal(folder.write("cut", model.substr(0, model.size() / 2)));
  CHECK(contains(refusal(foreign_tokenizer(folder, {{"model_type", "bpe"}, {"bos_id", "-1"}})),
                 "no BOS"));
  CHECK(contains(refusal(foreign_tokenizer(folder, {{"model_type", "bpe"}, {"eos_id", "-1"}})),
                 "no EOS"));
}

TEST_CASE("Tokenizers that look beyond a line or word are known", "[data][tokenizer]") {
  const TempFolder folder;
  const std::unordered_map<std::string, std::string> exact = {
      {"model_type", "bpe"},
      {"normalization_rule_name", "identity"},
      {"remove_extra_whitespaces", "false"},
      {"add_dummy_prefix", "false"}};
  const auto with = [&](std::unordered_map<std::string, std::string> changed) {
    for (const auto& [name, value] : exact) changed.insert({name, value});
    return foreign_tokenizer(folder, changed);
  };
  {
    const Tokenizer plain(with({}));
    CHECK(plain.lines_are_independent());
    CHECK(plain.words_are_independent());
  }
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"add_dummy_prefix", "true"},
                                                        {"remove_extra_whitespaces", "true"},
                                                        {"normalization_rule_name", "nmt_nfkc"},
                                                        {"user_defined_symbols", "x\ny"}}) {
    const Tokenizer dependent(with({{name, value}}));
    INFO(name);
    CHECK_FALSE(dependent.lines_are_independent());
    CHECK_FALSE(dependent.words_are_independent());
  }
  const Tokenizer phrases(with({{"user_defined_symbols", "\n,return value"}}));
  CHECK(phrases.lines_are_independent());
  CHECK_FALSE(phrases.words_are_independent());
}

TEST_CASE("A continuation has no space in front that is not its own", "[data][tokenizer]") {
  const TempFolder folder;
  using Settings = std::unordered_map<std::string, std::string>;
  for (const auto& settings :
       {Settings{{"normalization_rule_name", "identity"}, {"remove_extra_whitespaces", "false"}},
        Settings{{"model_type", "unigram"}, {"remove_extra_whitespaces", "false"}},
        Settings{{"model_type", "unigram"}, {"remove_extra_whitespaces", "true"}}}) {
    auto all = settings;
    all.insert({"model_type", "bpe"});
    const Tokenizer tokenizer(foreign_tokenizer(folder, all));
    const auto joined = [&](const std::string& start, const std::string& rest) {
      auto tokens = tokenizer.encode(start);
      const auto more = tokenizer.encode_continuation(rest);
      tokens.insert(tokens.end(), more.begin(), more.end());
      return tokenizer.decode(tokens);
    };
    CHECK(joined("Capital:", "Paris") == "Capital:Paris");
    CHECK(joined("for", " value in") == "for value in");
    CHECK(joined("return", "") == "return");
    for (const std::string rest : {"and", "1234", ". end", "return value", "self.index"}) {
      CHECK(joined("total", rest) == "total" + rest);
    }
  }
}

TEST_CASE("Where a text starts like its middle, a continuation is encoded alike",
          "[data][tokenizer]") {
  const Tokenizer tokenizer(test_tokenizer());
  std::mt19937 random(4);
  for (int trial = 0; trial < 300; ++trial) {
    const std::string text = random_text(random);
    REQUIRE(tokenizer.encode_continuation(text) == tokenizer.encode(text));
  }
}

TEST_CASE("A space that the model puts in front of a text counts for no byte",
          "[data][tokenizer]") {
  const TempFolder folder;
  const Tokenizer tokenizer(foreign_tokenizer(folder, {{"model_type", "bpe"},
                                                       {"normalization_rule_name", "identity"},
                                                       {"remove_extra_whitespaces", "false"}}));
  for (const std::string text : {"return value", " return", "x", "1"}) {
    const auto tokens = tokenizer.encode(text);
    std::int64_t bytes = tokenizer.text_bytes_at_start(tokens[0]);
    for (std::size_t i = 1; i < tokens.size(); ++i) bytes += tokenizer.text_bytes(tokens[i]);
    CHECK(bytes == static_cast<std::int64_t>(text.size()));
  }
  const Tokenizer ours(test_tokenizer());
  const auto space = ours.encode(" return")[0];
  CHECK(ours.text_bytes_at_start(space) == ours.text_bytes(space));
}

TEST_CASE("The cache does not change a token", "[data][tokenizer]") {
  const Tokenizer tokenizer(test_tokenizer());
  CachedEncoder encoder(tokenizer);
  std::mt19937 random(8);
  for (int trial = 0; trial < 1500; ++trial) {
    std::string text =
        trial % 100 == 0 ? code_like_text(static_cast<unsigned>(trial), 200) : random_text(random);
    if (trial % 7 == 0) text += "\xFF" + std::string(random() % 200, 'w') + " \xE6\x97";
    std::vector<std::int32_t> tokens = {-1};
    encoder.encode(text, tokens);
    auto expected = tokenizer.encode(text);
    expected.insert(expected.begin(), -1);
    REQUIRE(tokens == expected);
  }
}

TEST_CASE("The cache forgets and goes on", "[data][tokenizer]") {
  const Tokenizer tokenizer(test_tokenizer());
  CachedEncoder encoder(tokenizer);
  for (int number = 0; number < 150000; ++number) {
    std::vector<std::int32_t> tokens;
    const std::string word = " w" + std::to_string(number % 70000);
    encoder.encode(word, tokens);
    if (number % 997 == 0) REQUIRE(tokens == tokenizer.encode(word));
  }
}
