#include "data/batch.h"

#include "data/tokenizer.h"
#include "ops/vocabulary.h"
#include "support/tensors.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;

struct Fixture {
  TemporaryFolder folder;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<TokenDataset> dataset;

  Fixture() {
    make_tiny_data(folder);
    tokenizer = std::make_unique<Tokenizer>(folder / "tok.model");
    dataset = std::make_unique<TokenDataset>(folder / "valid", tokenizer->hash(), 300);
  }
};

TEST_CASE("targets are the tokens shifted by one; those across a boundary do not count") {
  const Fixture fixture;
  const auto bos = fixture.tokenizer->bos();
  const auto second = static_cast<std::int64_t>(fixture.dataset->document_offsets()[1]);
  const std::vector<Window> windows = {{fixture.dataset.get(), second - 30},
                                       {fixture.dataset.get(), second - 1},
                                       {fixture.dataset.get(), second}};
  const auto batch = make_batch(windows, 90, /*document_mask=*/true, /*pinned=*/false);
  std::int64_t counted = 0;
  for (std::int64_t row = 0; row < 3; ++row) {
    std::vector<std::int32_t> tokens(91);
    fixture.dataset->copy_tokens(windows[static_cast<std::size_t>(row)].begin, tokens);
    std::int64_t first = 0;
    for (std::int64_t t = 0; t < 90; ++t) {
      const auto token = tokens[static_cast<std::size_t>(t)],
                 next = tokens[static_cast<std::size_t>(t + 1)];
      if (token == bos) first = t;
      REQUIRE(batch.tokens[row][t].item<std::int64_t>() == token);
      REQUIRE(batch.targets[row][t].item<std::int64_t>() == (next == bos ? kIgnoredTarget : next));
      REQUIRE(batch.documents.first_token[row][t].item<std::int64_t>() == first);
      counted += next != bos;
    }
  }
  REQUIRE(batch.counted_targets == counted);
  REQUIRE(counted < 3 * 90);
}

TEST_CASE("a document that begins right behind the window takes its last target only") {
  const Fixture fixture;
  const auto second = static_cast<std::int64_t>(fixture.dataset->document_offsets()[1]);
  const std::vector<Window> windows = {{fixture.dataset.get(), 0}};
  const auto batch = make_batch(windows, second, true, false);
  REQUIRE_FALSE(batch.documents.is_packed());
  REQUIRE(batch.targets[0][second - 1].item<std::int64_t>() == kIgnoredTarget);
  REQUIRE(batch.counted_targets == second - 1);
}

TEST_CASE("without the document mask everything counts and nothing is packed") {
  const Fixture fixture;
  const std::vector<Window> windows = {{fixture.dataset.get(), 0}};
  const auto batch = make_batch(windows, 200, false, false);
  REQUIRE_FALSE(batch.documents.is_packed());
  REQUIRE(batch.counted_targets == 200);
  REQUIRE((batch.targets != kIgnoredTarget).all().item<bool>());
}

TEST_CASE("targets are counted as a batch counts them, without reading tokens") {
  const Fixture fixture;
  const bool document_mask = GENERATE(true, false);
  const std::int64_t length = GENERATE(1, 2, 37, 200);
  std::int64_t counted = 0, windows = 0;
  for (std::int64_t begin = 0; begin + length < fixture.dataset->tokens();
       begin += length / 2 + 1) {
    const Window window = {fixture.dataset.get(), begin};
    const auto batch = make_batch({&window, 1}, length, document_mask, false);
    REQUIRE(count_targets(window, length, document_mask) == batch.counted_targets);
    counted += batch.counted_targets;
    ++windows;
  }
  REQUIRE((counted == windows * length) == !document_mask);
}

TEST_CASE("a loss mask is applied") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  write_text(folder / "pairs.jsonl",
             "{\"prompt\": \"zebra stripe\", \"completion\": \" global local\"}\n");
  PackOptions options;
  options.input.inputs = {(folder / "pairs.jsonl").string()};
  options.tokenizer = folder / "tok.model";
  options.output = folder / "pairs";
  pack(options);
  const Tokenizer tokenizer(folder / "tok.model");
  const TokenDataset dataset(folder / "pairs", tokenizer.hash(), 300);
  const auto prompt = static_cast<std::int64_t>(tokenizer.encode("zebra stripe").size());
  const auto length = dataset.tokens() - 1;
  const std::vector<Window> windows = {{&dataset, 0}};
  const auto batch = make_batch(windows, length, true, false);
  REQUIRE(batch.counted_targets == length - prompt);
  REQUIRE(count_targets(windows[0], length, true) == length - prompt);
  REQUIRE(count_targets(windows[0], length, false) == length - prompt);
  REQUIRE((batch.targets[0].slice(0, 0, prompt) == kIgnoredTarget).all().item<bool>());
}

}  // namespace
}  // namespace zebra
