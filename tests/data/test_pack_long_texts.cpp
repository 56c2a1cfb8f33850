#include <string>
#include <vector>

#include "data/pack.h"
#include "data/token_dataset.h"
#include "data/tokenizer.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

TEST_CASE("With a tokenizer that adds a space, pieces of a text are joined without one",
          "[data][pack]") {
  const TempFolder folder;
  const std::string line = "return value for index in range while total print self number break\n";
  std::string long_text;
  while (long_text.size() < (std::size_t{16} << 20) + 1000) long_text += line;
  const auto pairs = folder.write("p.jsonl", R"({"prompt": "return", "completion": "value"})"
                                             "\n"
                                             R"({"prompt": "", "completion": "value"})"
                                             "\n");
  PackOptions options;
  options.input.inputs = {pairs, folder.write("long.txt", long_text)};
  options.output = folder / "out";
  options.threads = 2;
  options.tokenizer = foreign_tokenizer(folder, {{"model_type", "bpe"},
                                                 {"normalization_rule_name", "identity"},
                                                 {"remove_extra_whitespaces", "false"}});
  pack(options);
  const Tokenizer tokenizer(options.tokenizer);
  const TokenDataset dataset(folder / "out", tokenizer.hash(), tokenizer.vocab_size());
  const auto offsets = dataset.document_offsets();
  std::vector<std::string> texts;
  for (std::size_t d = 0; d + 1 < offsets.size(); ++d) {
    std::vector<std::int32_t> tokens(offsets[d + 1] - offsets[d]);
    dataset.copy_tokens(static_cast<std::int64_t>(offsets[d]), tokens);
    texts.push_back(tokenizer.decode(tokens));
  }
  REQUIRE(texts.size() == 3);
  CHECK(texts[0] == "returnvalue");
  CHECK(texts[1] == "value");
  CHECK((texts[2] == long_text));
}
