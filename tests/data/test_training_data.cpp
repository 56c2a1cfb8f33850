#include "data/training_data.h"

#include "base/error.h"
#include "data/prefetch.h"
#include "support/tensors.h"
#include "support/tiny_data.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TrainingData open(const Config& config, const Tokenizer& tokenizer, DataShare share = {}) {
  return {config, open_run_datasets(config, tokenizer).train, /*pinned=*/false, share};
}

TEST_CASE("a step is a function of its number, whatever was read before") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const auto config = tiny_run(folder);
  const Tokenizer tokenizer(config.data.tokenizer);
  auto forward = open(config, tokenizer), jumping = open(config, tokenizer);
  for (std::int64_t step = 1; step <= 9; ++step) {
    const auto batch = forward.step(step);
    REQUIRE(batch.micro_batches.size() == 2);
    REQUIRE(batch.counted_targets ==
            batch.micro_batches[0].counted_targets + batch.micro_batches[1].counted_targets);
    if (step != 9 && step != 4) continue;
    REQUIRE(same_bits(jumping.step(step).micro_batches[1].tokens, batch.micro_batches[1].tokens));
  }
  REQUIRE(same_bits(jumping.step(2).micro_batches[0].tokens,
                    open(config, tokenizer).step(2).micro_batches[0].tokens));
}

TEST_CASE("micro-batches only cut the step's samples") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const Tokenizer tokenizer(folder / "tok.model");
  auto whole = open(tiny_run(folder, {"train.micro_batch_size=4"}), tokenizer).step(3);
  auto parts = open(tiny_run(folder, {"train.micro_batch_size=1"}), tokenizer).step(3);
  std::vector<torch::Tensor> rows;
  for (const auto& part : parts.micro_batches) rows.push_back(part.tokens);
  REQUIRE(same_bits(torch::cat(rows), whole.micro_batches[0].tokens));
}

TEST_CASE("the ranks' shares together are the samples of one rank, in order") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const bool document_mask = GENERATE(true, false);
  const std::string mask = document_mask ? "true" : "false";
  const auto config = tiny_run(folder, {"train.global_batch_size=12", "train.micro_batch_size=2",
                                        "data.document_mask=" + mask});
  const Tokenizer tokenizer(config.data.tokenizer);
  const int ranks = GENERATE(1, 2, 3, 6);
  auto alone = open(config, tokenizer);
  std::vector<TrainingData> shares;
  for (int rank = 0; rank < ranks; ++rank) shares.push_back(open(config, tokenizer, {rank, ranks}));
  for (const std::int64_t step : {1, 4}) {
    const auto whole = alone.step(step);
    std::vector<Batch> batches;
    std::int64_t counted = 0;
    for (auto& share : shares) {
      const auto own = share.step(step);
      REQUIRE(own.micro_batches.size() == static_cast<std::size_t>(6 / ranks));
      REQUIRE(own.counted_targets == whole.counted_targets);
      batches.insert(batches.end(), own.micro_batches.begin(), own.micro_batches.end());
    }
    REQUIRE(batches.size() == whole.micro_batches.size());
    for (std::size_t i = 0; i < batches.size(); ++i) {
      REQUIRE(same_bits(batches[i].tokens, whole.micro_batches[i].tokens));
      REQUIRE(same_bits(batches[i].targets, whole.micro_batches[i].targets));
      counted += batches[i].counted_targets;
    }
    REQUIRE(counted == whole.counted_targets);
  }
}

TEST_CASE("the prefetch thread gives the same batches in order") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const auto config = tiny_run(folder);
  const Tokenizer tokenizer(config.data.tokenizer);
  auto data = open(config, tokenizer), again = open(config, tokenizer);
  Prefetch prefetch(data, 5);
  for (std::int64_t step = 5; step < 15; ++step) {
    REQUIRE(same_bits(prefetch.next().micro_batches[0].tokens,
                      again.step(step).micro_batches[0].tokens));
  }
}

TEST_CASE("all datasets that cannot be used are named at once") {
  const TemporaryFolder folder;
  make_tiny_data(folder);
  const Tokenizer tokenizer(folder / "tok.model");
  auto config = tiny_run(folder);
  config.data.train = {{folder / "nowhere", std::nullopt},
                       {folder / "train", std::nullopt},
                       {folder / "missing", std::nullopt}};
  REQUIRE_THROWS_WITH(open(config, tokenizer),
                      Catch::Matchers::Contains("nowhere") && Catch::Matchers::Contains("missing"));
  config.data.train = tiny_run(folder).data.train;
  config.data.validation = {{folder / "absent", std::nullopt}};
  REQUIRE_THROWS_WITH(open(config, tokenizer), Catch::Matchers::Contains("absent"));
  config = tiny_run(folder, {"data.sequence_length=1000000", "eval.every_steps=0"});
  REQUIRE_THROWS_WITH(open(config, tokenizer), Catch::Matchers::Contains("data.sequence_length"));
}

}  // namespace
}  // namespace zebra
