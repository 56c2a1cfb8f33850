// Tokens and texts of a tokenizer, for comparison with the package `tokenizers`
// (tests/end_to_end/test_tokenizers.py).
//
// usage: zebra_tokenize_lines TOKENIZER < INPUT > OUTPUT
//   INPUT   lines of JSON: a text, or a list of ids
//   OUTPUT  lines of JSON: the ids of the text, or the text of the ids

#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/json_reader.h"
#include "data/tokenizer.h"

namespace zebra {
namespace {

void convert(const Tokenizer& tokenizer) {
  CachedEncoder encoder(tokenizer);
  for (std::string line; std::getline(std::cin, line);) {
    const auto json = nlohmann::json::parse(line);
    if (json.is_string()) {
      std::vector<std::int32_t> tokens;
      encoder.encode(json.get<std::string>(), tokens);
      std::cout << json_text(tokens);
    } else {
      std::cout << json_text(tokenizer.decode(json.get<std::vector<std::int32_t>>()));
    }
  }
}

}  // namespace
}  // namespace zebra

int main(int count, char** arguments) {
  if (count != 2) {
    std::cerr << "usage: zebra_tokenize_lines TOKENIZER < INPUT > OUTPUT\n";
    return 2;
  }
  try {
    zebra::convert(zebra::Tokenizer(arguments[1]));
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
