#include "data/cached_encoder.h"

#include <string>
#include <vector>

#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

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
