#include "data/training_data.h"
#include "ops/vocabulary.h"
#include "shared_tiny_data.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

StepBatch step_of(const Config& config, DataShare share) {
  const auto& tokenizer = *shared_tiny_data().tokenizer;
  TrainingData data(config, open_run_datasets(config, tokenizer).train, /*pinned=*/false, share);
  return data.step(2);
}

void require_same(const torch::Tensor& part, const torch::Tensor& whole, ContextShare share) {
  REQUIRE(part.defined() == whole.defined());
  if (whole.defined()) REQUIRE(same_bits(part, share.part_of(whole)));
}

TEST_CASE("ranks that share sequences get their own chunks of the same batches") {
  const int sharing = GENERATE(2, 3, 4), groups = GENERATE(1, 2);
  const auto setting = GENERATE("data.packing=concat", "data.packing=whole",
                                "train.loss_weighting=sequence", "data.document_mask=false");
  INFO(sharing << " ranks to a sequence, " << groups << " groups, " << setting);
  const auto config = tiny_run(shared_tiny_data().folder, {setting, "train.micro_batch_size=2"});
  std::int64_t counted = 0;
  for (int group = 0; group < groups; ++group) {
    const auto whole = step_of(config, {group, groups});
    for (int rank = 0; rank < sharing; ++rank) {
      ParallelSection parallel;
      parallel.context = sharing;
      const auto share = data_share(parallel, group * sharing + rank, groups * sharing);
      const auto own = step_of(config, share);
      REQUIRE(own.counted_targets == whole.counted_targets);
      REQUIRE(own.target_weight == whole.target_weight);
      REQUIRE(own.micro_batches.size() == whole.micro_batches.size());
      for (std::size_t i = 0; i < own.micro_batches.size(); ++i) {
        const auto &part = own.micro_batches[i], &all = whole.micro_batches[i];
        require_same(part.tokens, all.tokens, share.context);
        require_same(part.targets, all.targets, share.context);
        require_same(part.target_weights, all.target_weights, share.context);
        require_same(part.documents.first_token, all.documents.first_token, share.context);
        REQUIRE(part.counted_targets ==
                (part.targets != kIgnoredTarget).sum().item<std::int64_t>());
        counted += part.counted_targets;
      }
    }
  }
  REQUIRE(counted == step_of(config, {}).counted_targets);
}

TEST_CASE("chunks cover a sequence once, and each rank sees as many pairs as any other") {
  const int ranks = GENERATE(1, 2, 5);
  constexpr std::int64_t kLength = 40;
  std::vector<int> seen(kLength);
  std::vector<std::int64_t> pairs;
  for (int rank = 0; rank < ranks; ++rank) {
    const ContextShare share = {rank, ranks};
    pairs.push_back(0);
    const auto own = share.part_of(torch::arange(kLength).unsqueeze(0)).flatten();
    for (std::int64_t i = 0; i < own.size(0); ++i) {
      const auto position = own[i].item<std::int64_t>();
      ++seen[static_cast<std::size_t>(position)];
      pairs.back() += position + 1;
    }
  }
  REQUIRE(seen == std::vector<int>(kLength, 1));
  for (const auto count : pairs) REQUIRE(count == kLength * (kLength + 1) / 2 / ranks);
}

}  // namespace
}  // namespace zebra
