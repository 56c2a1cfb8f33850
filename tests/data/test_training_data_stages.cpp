#include <string>
#include <vector>

#include "data/training_data.h"
#include "shared_tiny_data.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

/// Steps of 12 samples: to step 3 the source valid alone, to 5 both, then train alone.
TrainingData open_stages(const std::string& micro_batch = "2", DataShare share = {}) {
  const auto& [folder, tokenizer, valid] = shared_tiny_data();
  const std::string at = folder.path().string();
  const auto config =
      tiny_run(folder, {"train.global_batch_size=12", "train.micro_batch_size=" + micro_batch,
                        "train.max_steps=12",
                        "data.stages=[{until: 0.25, train: [{path: " + at +
                            "/valid, loss_weight: 5}]}, "
                            "{until: 0.42, train: [{path: " +
                            at +
                            "/train, weight: 2, loss_weight: 0.5}, "
                            "{path: " +
                            at + "/valid, weight: 1}]}]"});
  return {config, open_run_datasets(config, *tokenizer).train, /*pinned=*/false, share};
}

torch::Tensor tokens_of(const StepBatch& batch) {
  std::vector<torch::Tensor> rows;
  for (const auto& micro : batch.micro_batches) rows.push_back(micro.tokens);
  return torch::cat(rows);
}

TEST_CASE("a step reads the sources of its stage, with their loss weights") {
  auto data = open_stages();
  REQUIRE(data.sources().size() == 2);
  REQUIRE(data.sources()[0]->path().filename() == "valid");
  std::int64_t of_both = 0;
  for (std::int64_t step = 1; step <= 12; ++step) {
    const auto batch = data.step(step);
    REQUIRE(batch.sources.size() == 2);
    REQUIRE(batch.sources[0].samples + batch.sources[1].samples == 12);
    if (step <= 3) REQUIRE(batch.sources[1].samples == 0);
    if (step > 5) REQUIRE(batch.sources[0].samples == 0);
    if (step == 4 || step == 5) {
      of_both += batch.sources[0].samples;
      const auto expected = static_cast<double>(batch.sources[0].targets) +
                            0.5 * static_cast<double>(batch.sources[1].targets);
      REQUIRE(batch.target_weight == expected);
      REQUIRE(batch.sources[0].loss_share ==
              static_cast<double>(batch.sources[0].targets) / expected);
    } else {  // a single source has the weight 1, whatever it was given
      REQUIRE(batch.target_weight == static_cast<double>(batch.counted_targets));
    }
  }
  REQUIRE(of_both == 8);
}

TEST_CASE("stages read the same samples whatever the ranks, micro-batches and restarts") {
  auto alone = open_stages();
  const int ranks = GENERATE(1, 2, 3);
  const std::string micro_batch = GENERATE(as<std::string>{}, "1", "2");
  std::vector<TrainingData> shares;
  for (int rank = 0; rank < ranks; ++rank)
    shares.push_back(open_stages(micro_batch, {rank, ranks}));
  for (const std::int64_t step : {6, 4, 3, 5, 1, 12}) {
    const auto whole = alone.step(step);
    std::vector<torch::Tensor> rows;
    for (auto& share : shares) {
      const auto own = share.step(step);
      REQUIRE(own.target_weight == whole.target_weight);
      rows.push_back(tokens_of(own));
    }
    REQUIRE(same_bits(torch::cat(rows), tokens_of(whole)));
  }
}

TEST_CASE("passes and shares add up over the stages") {
  const auto data = open_stages();
  const auto stages = data.stages();
  REQUIRE(stages.size() == 3);
  REQUIRE(stages[0].first_step == 1);
  REQUIRE(stages[0].last_step == 3);
  REQUIRE(stages[1].last_step == 5);
  REQUIRE(stages[2].last_step == 12);
  REQUIRE(stages[1].samples == std::vector<double>{1.0 / 3.0, 2.0 / 3.0});
  REQUIRE(stages[2].passes[0] == 0.0);
  const auto shares = data.shares();
  REQUIRE(shares[0].samples == Approx((3.0 + 2.0 / 3.0) / 12.0));
  REQUIRE(shares[0].samples + shares[1].samples == Approx(1.0));
  REQUIRE(shares[0].targets + shares[1].targets == Approx(1.0));
  REQUIRE(shares[0].loss + shares[1].loss == Approx(1.0));
  for (const std::size_t s : {0U, 1U}) {
    const auto samples = (data.sources()[s]->tokens() - 1) / 48;
    REQUIRE(data.passes(s) ==
            Approx(12.0 * 12.0 * shares[s].samples / static_cast<double>(samples)));
  }
}

TEST_CASE("a source that is too short is named, in whatever stage it stands") {
  const auto& [folder, tokenizer, valid] = shared_tiny_data();
  const std::string at = folder.path().string();
  const auto config =
      tiny_run(folder, {"data.sequence_length=1000000", "eval.every_steps=0",
                        "data.stages=[{until: 0.5, train: [{path: " + at + "/valid}]}]"});
  REQUIRE_THROWS_WITH(
      TrainingData(config, open_run_datasets(config, *tokenizer).train, false),
      Catch::Matchers::Contains("/valid: holds") && Catch::Matchers::Contains("/train: holds"));
}

}  // namespace
}  // namespace zebra
