#include "data/probe_vocabulary.h"

#include <algorithm>
#include <set>
#include <span>

#include "base/error.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

const Tokenizer& tokenizer() {
  static const Tokenizer made(test_tokenizer());
  return made;
}

std::vector<std::int32_t> all_tokens(const ProbeVocabulary& vocabulary) {
  std::vector<std::int32_t> tokens = {vocabulary.blank(), vocabulary.assignment_marker(),
                                      vocabulary.query_marker()};
  for (const auto part : {vocabulary.keys(), vocabulary.values(), vocabulary.fillers()}) {
    tokens.insert(tokens.end(), part.begin(), part.end());
  }
  return tokens;
}

/// Ordinary tokens of more than one byte.
std::int64_t long_tokens() {
  std::int64_t count = 0;
  for (std::int32_t id = 0; id < tokenizer().vocab_size(); ++id) {
    if (tokenizer().text_bytes(id) > 1) ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("The sets of a probe vocabulary are disjoint ordinary tokens", "[data][probes]") {
  const ProbeVocabulary vocabulary(tokenizer(), {.keys = 20, .values = 11});
  CHECK(vocabulary.keys().size() == 20);
  CHECK(vocabulary.values().size() == 11);
  CHECK(vocabulary.chance() == 1.0 / 11.0);
  for (const auto value : vocabulary.values()) CHECK(vocabulary.is_value(value));
  for (const auto key : vocabulary.keys()) CHECK_FALSE(vocabulary.is_value(key));
  const auto tokens = all_tokens(vocabulary);
  CHECK(std::set(tokens.begin(), tokens.end()).size() == tokens.size());
  CHECK(std::ssize(tokens) == long_tokens());
  for (const auto token : tokens) {
    CHECK(tokenizer().text_bytes(token) > 1);
    CHECK(token != tokenizer().bos());
    CHECK(token != tokenizer().eos());
  }
  const ProbeVocabulary few(tokenizer(), {.keys = 20, .values = 11, .fillers = 5});
  REQUIRE(few.fillers().size() == 5);
  CHECK(std::equal(few.fillers().begin(), few.fillers().end(), vocabulary.fillers().begin()));
  CHECK(vocabulary.bos() == tokenizer().bos());
  CHECK(vocabulary.eos() == tokenizer().eos());
}

TEST_CASE("A probe vocabulary is shuffled, and the same each time", "[data][probes]") {
  const ProbeVocabulary one(tokenizer()), other(tokenizer());
  CHECK(all_tokens(one) == all_tokens(other));
  CHECK(one.keys().size() == 32);
  CHECK(one.values().size() == 32);
  CHECK_FALSE(std::ranges::is_sorted(one.keys()));
  CHECK_FALSE(std::ranges::is_sorted(one.values()));
}

TEST_CASE("Tokens of one byte step in where there are too few others", "[data][probes]") {
  const auto enough = long_tokens() - 3 - 16;
  const ProbeVocabulary just(tokenizer(), {.keys = enough - 8, .values = 8});
  CHECK(std::ssize(all_tokens(just)) == long_tokens());
  const ProbeVocabulary larger(tokenizer(), {.keys = enough - 7, .values = 8});
  const auto tokens = all_tokens(larger);
  CHECK(std::ssize(tokens) > long_tokens() + 200);
  for (const auto token : tokens) CHECK(tokenizer().text_bytes(token) > 0);
  for (const auto token : larger.keys()) CHECK(tokenizer().text_bytes(token) > 1);
}

TEST_CASE("Bad sizes of a probe vocabulary are told", "[data][probes]") {
  const auto message = [](ProbeVocabularySizes sizes) {
    return message_of<InputError>([&] { ProbeVocabulary(tokenizer(), sizes); });
  };
  const auto both = message({.keys = 8, .values = 7});
  CHECK(contains(both, "number of keys is 8: give 9 or more"));
  CHECK(contains(both, "number of values is 7: give 8 or more"));
  CHECK(contains(message({.keys = 400, .values = 32}), "ordinary tokens"));
  CHECK(contains(message({.keys = 400, .values = 32}), "take 451"));
  CHECK(contains(message({.keys = 400, .values = 32}), tokenizer().path().string()));
  CHECK(contains(message({.keys = INT64_MAX, .values = 32}), "at most 1,000,000"));
}
