#include <set>
#include <span>

#include "data/tokenizer.h"
#include "data/training_data.h"
#include "ops/vocabulary.h"
#include "shared_tiny_data.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

/// Of the sources train and valid, in steps of 12 samples.
TrainingData open_sources(double of_train, double of_valid, DataShare share = {}) {
  const auto& [folder, tokenizer, valid] = shared_tiny_data();
  auto config = tiny_run(folder, {"train.global_batch_size=12", "train.micro_batch_size=2"});
  config.data.train = {{{folder / "train", 2.0}, of_train}, {{folder / "valid", 1.0}, of_valid}};
  return {config, open_run_datasets(config, *tokenizer).train, /*pinned=*/false, share};
}

using Row = std::vector<std::int64_t>;

Row row_of(const torch::Tensor& tokens, std::int64_t row) {
  const auto* begin = tokens.const_data_ptr<std::int64_t>() + row * tokens.size(1);
  return {begin, begin + tokens.size(1)};
}

/// The samples of a dataset, by which their source is known.
std::set<Row> samples_of(const TokenDataset& dataset, std::int64_t length) {
  std::set<Row> samples;
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(length));
  for (std::int64_t begin = 0; begin + length < dataset.tokens(); begin += length) {
    dataset.copy_tokens(begin, tokens);
    samples.emplace(tokens.begin(), tokens.end());
  }
  return samples;
}

TEST_CASE("every target has the weight of its source, relative to the largest") {
  auto data = open_sources(0.5, 4.0);
  const auto of_valid = samples_of(*data.sources()[1], 48);
  for (const std::int64_t step : {1, 2, 7}) {
    const auto batch = data.step(step);
    REQUIRE(batch.sources.size() == 2);
    std::array<std::int64_t, 2> samples = {0, 0}, targets = {0, 0};
    for (const auto& micro : batch.micro_batches) {
      for (std::int64_t row = 0; row < 2; ++row) {
        const auto source = of_valid.contains(row_of(micro.tokens, row)) ? 1U : 0U;
        ++samples[source];
        targets[source] += (micro.targets[row] != kIgnoredTarget).sum().item<std::int64_t>();
        const float weight = source == 1 ? 1.0F : 0.125F;
        if (micro.target_weights.defined()) {
          REQUIRE(micro.target_weights.sizes() == micro.targets.sizes());
          REQUIRE((micro.target_weights[row] == weight).all().item<bool>());
        } else {
          REQUIRE(weight == 1.0F);
        }
      }
    }
    REQUIRE(samples[0] > 0);
    REQUIRE(samples[1] > 0);
    for (const std::size_t s : {0U, 1U}) {
      REQUIRE(batch.sources[s].samples == samples[s]);
      REQUIRE(batch.sources[s].targets == targets[s]);
    }
    REQUIRE(batch.counted_targets == targets[0] + targets[1]);
    const double weight = 0.125 * static_cast<double>(targets[0]) + static_cast<double>(targets[1]);
    REQUIRE(batch.target_weight == weight);  // powers of two: exact
    REQUIRE(batch.sources[1].loss_share == Approx(static_cast<double>(targets[1]) / weight));
  }
}

TEST_CASE("the sum of the weights is the same double on all ranks") {
  const auto expected = open_sources(0.3, 7.1).step(3);
  for (const int ranks : {2, 3, 6}) {
    for (int rank = 0; rank < ranks; ++rank) {
      const auto own = open_sources(0.3, 7.1, {rank, ranks}).step(3);
      REQUIRE(own.target_weight == expected.target_weight);
      REQUIRE(own.counted_targets == expected.counted_targets);
      REQUIRE(own.sources[0].targets == expected.sources[0].targets);
    }
  }
}

TEST_CASE("weights that are all alike are none") {
  const double weight = GENERATE(1.0, 0.3);
  const auto batch = open_sources(weight, weight).step(2);
  for (const auto& micro : batch.micro_batches) REQUIRE_FALSE(micro.target_weights.defined());
  REQUIRE(batch.target_weight == static_cast<double>(batch.counted_targets));
}

TEST_CASE("weights stay with their batch on its way to a device") {
  const auto& data = open_sources(1.0, 2.0);
  const std::vector<Sample> samples = {{data.sources()[0].get(), 48, 0.5F},
                                       {data.sources()[0].get(), 96}};
  const auto batch = make_batch(samples, 48, true, false).to(torch::kCPU);
  REQUIRE(batch.target_weights.sum(-1)[0].item<float>() == 24.0F);
  REQUIRE(batch.target_weights.sum(-1)[1].item<float>() == 48.0F);
}

TEST_CASE("the shares of the sources are what the steps come to") {
  auto data = open_sources(1.0, 5.0);
  const auto shares = data.shares();
  REQUIRE(shares.size() == 2);
  REQUIRE(shares[1].samples == Approx(1.0 / 3.0));
  double targets = 0.0, of_valid = 0.0, weight = 0.0;
  for (std::int64_t step = 1; step <= 256; ++step) {  // whole blocks of the mixture
    const auto batch = data.step(step);
    targets += static_cast<double>(batch.counted_targets);
    of_valid += static_cast<double>(batch.sources[1].targets);
    weight += batch.target_weight;
  }
  REQUIRE(shares[1].targets == Approx(of_valid / targets).epsilon(0.02));
  REQUIRE(shares[1].loss == Approx(of_valid / weight).epsilon(0.02));
  REQUIRE(shares[0].loss + shares[1].loss == Approx(1.0));
}

}  // namespace
}  // namespace zebra
