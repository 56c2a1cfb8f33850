#include "data/tokenized_documents.h"

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "base/error.h"
#include "data/data_support.h"
#include "data/pack.h"

using namespace zebra;
using namespace zebra::test;

namespace {

struct BothWays {
  TokenDataset in_memory, packed;
};

// The inputs, as a dataset in memory and as one in a folder.
BothWays both_ways(const TempFolder& folder, const std::string& tokenizer_path,
                   const DocumentReaderOptions& input) {
  const Tokenizer tokenizer(tokenizer_path);
  PackOptions options;
  options.input = input;
  options.tokenizer = tokenizer_path;
  options.output = folder / "packed";
  options.threads = 1;
  pack(options);
  return {TokenDataset("the text", tokenize_documents(input, tokenizer).documents),
          TokenDataset(folder / "packed", tokenizer.hash(), tokenizer.vocab_size())};
}

void check_equal(const TokenDataset& in_memory, const TokenDataset& packed) {
  REQUIRE(in_memory.tokens() == packed.tokens());
  CHECK(in_memory.documents() == packed.documents());
  CHECK(in_memory.text_bytes() == packed.text_bytes());
  CHECK(std::ranges::equal(in_memory.document_offsets(), packed.document_offsets()));
  CHECK(in_memory.document_starts(3, 500) == packed.document_starts(3, 500));
  for (const std::int64_t begin : {std::int64_t{0}, std::int64_t{7}, packed.tokens() - 20}) {
    const auto count = static_cast<std::size_t>(begin == 0 ? packed.tokens() : 20);
    Tokens own(count), expected(count);
    in_memory.copy_inputs(begin, own);
    packed.copy_inputs(begin, expected);
    CHECK(own == expected);
    std::vector<std::uint8_t> own_mask(count), expected_mask(count);
    in_memory.copy_loss_mask(begin, own_mask);
    packed.copy_loss_mask(begin, expected_mask);
    CHECK(own_mask == expected_mask);
  }
  Tokens beyond(2);
  CHECK_THROWS_AS(in_memory.copy_tokens(in_memory.tokens() - 1, beyond), std::out_of_range);
}

}  // namespace

TEST_CASE("Documents in memory are those that pack writes", "[data][tokenized_documents]") {
  const TempFolder folder;
  DocumentReaderOptions input;
  input.inputs = {folder.write("a.txt", code_like_text(3, 9000)),
                  folder.write("b.jsonl",
                               "{\"text\": \"one\\ntwo\"}\n\n"
                               "{\"prompt\": \"a question \", \"completion\": \"x\"}\n"
                               "{\"text\": \"\"}\n{\"text\": \"last\"}\n"),
                  folder.write("c.txt.gz", gzip("gzipped\n"))};
  SECTION("of our tokenizer") {
    const auto both = both_ways(folder, test_tokenizer(), input);
    CHECK(both.in_memory.documents() == 5);
    check_equal(both.in_memory, both.packed);
  }
  SECTION("of one whose lines depend on one another") {
    const auto both = both_ways(folder, foreign_tokenizer(folder, {{"model_type", "bpe"}}), input);
    check_equal(both.in_memory, both.packed);
  }
}

TEST_CASE("What is left out of documents in memory is counted", "[data][tokenized_documents]") {
  const TempFolder folder;
  const Tokenizer tokenizer(test_tokenizer());
  DocumentReaderOptions input;
  input.inputs = {folder.write("a.jsonl", "{\"text\": \"\\ud800 x\"}\nbad\n{\"text\": \"\"}\n")};
  input.skip_bad_lines = true;
  std::uint64_t done = 0, total = 0;
  const auto read = tokenize_documents(input, tokenizer, [&](std::uint64_t now, std::uint64_t all) {
    done = now;
    total = all;
  });
  CHECK(read.invalid_utf8_documents == 1);
  CHECK(read.skipped.bad_lines == 1);
  CHECK(read.skipped.empty_documents == 1);
  CHECK(done == total);
  CHECK(total == std::filesystem::file_size(input.inputs[0]));

  input.inputs = {folder.write("none.jsonl", "{\"text\": \"\"}\n")};
  const auto message = message_of<InputError>([&] { tokenize_documents(input, tokenizer); });
  CHECK(contains(message, "none.jsonl: holds no text"));
}
