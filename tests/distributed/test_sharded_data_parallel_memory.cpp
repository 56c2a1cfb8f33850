#include "distributed/sharded_data_parallel.h"
#include "optim/adamw.h"
#include "plan/sharding_cost.h"
#include "support/counting_allocator.h"
#include "support/models.h"
#include "support/ranks.h"
#include "support/tensors.h"

// What the plan says that a rank holds, against what LibTorch's allocator is really asked for.

namespace zebra {
namespace {

using namespace zebra::testing;

// Large enough for padding not to count, small enough for a test.
ModelConfig wide_model_of(bool tied) {
  auto model = small_model();
  model.hidden_size = 192;
  model.head_dim = 48;
  model.intermediate_size = 512;
  model.vocab_size = 1500;
  model.tie_word_embeddings = tied;
  return model;
}

void optimize_two_steps(const ModelConfig& section, const ShardingOptions& options, TestRank& own,
                        ActivationCheckpointing checkpointing) {
  ZebraModel model(section, ParameterMemory::placeholder);
  ShardedDataParallel parallel(model, options, own.groups(), torch::kCPU, /*seed=*/1);
  AdamW optimizer(OptimizerSection{}, parallel.optimizer_ranges());
  model->set_activation_checkpointing(checkpointing);
  const auto tokens = torch::randint(1500, {1, 8}, torch::kInt64);
  for (int step = 0; step < 2; ++step) {
    parallel.begin_step();
    for (int micro_batch = 0; micro_batch < 2; ++micro_batch) {
      parallel.begin_micro_batch(micro_batch == 1);
      model->loss(tokens, tokens).objective.backward();
      parallel.finish_micro_batch();
    }
    parallel.finish_step();
    optimizer.step(1e-3);
    parallel.publish_weights();
  }
}

TEST_CASE("a rank holds what the plan says, to a tenth") {
  const bool tied = GENERATE(false, true);
  const auto sharding =
      GENERATE(Sharding::none, Sharding::optimizer, Sharding::gradients, Sharding::full);
  const auto precision = GENERATE(Precision::fp32, Precision::bf16);
  const auto reduced = GENERATE(Precision::fp32, Precision::bf16);
  const int replicas = GENERATE(1, 2);
  const auto checkpointing =
      sharding == Sharding::full ? ActivationCheckpointing::full : ActivationCheckpointing::none;
  constexpr int kRanks = 4;
  if (sharding == Sharding::none && replicas == 2) return;

  auto section = wide_model_of(tied);
  if (tied) section = with_options(section, ModelOptions::heads_normed);
  const auto type = [](Precision p) {
    return p == Precision::bf16 ? torch::kBFloat16 : torch::kFloat32;
  };
  const ShardingOptions options = {sharding, type(precision), type(reduced)};
  ParallelSection parallel;
  parallel.sharding = sharding;
  parallel.replicas = replicas;
  parallel.reduce_precision = reduced;
  const auto plan = memory_per_rank(shard_model(section, precision, parallel, kRanks));

  CountingAllocator counting;
  const int copies = sharding == Sharding::none ? kRanks : replicas;
  run_on_ranks(kRanks, copies, [&](TestRank& own) {
    const CountingAllocator::Account account(own.rank);
    optimize_two_steps(section, options, own, checkpointing);
  });
  for (int rank = 0; rank < kRanks; ++rank) {
    const auto peak = counting.peak(rank);
    const auto bytes = [&](const std::string& part) { return static_cast<double>(peak.at(part)); };
    INFO("sharding " << static_cast<int>(sharding) << ", copies " << copies << ", tied " << tied
                     << ", gathered " << bytes("gathered_weights") << " planned "
                     << plan.gathered_weights << ", in flight " << bytes("gradients_in_flight")
                     << " planned " << plan.gradients_in_flight << ", copies "
                     << bytes("reduction_copies") << " planned " << plan.reduction_copies);
    CHECK(bytes("weights") == Approx(static_cast<double>(plan.weights)).epsilon(0.1));
    CHECK(bytes("gradients") == Approx(static_cast<double>(plan.gradients)).epsilon(0.1));
    CHECK(bytes("masters") == Approx(static_cast<double>(plan.masters)).epsilon(0.1));
    CHECK(bytes("moments") == Approx(static_cast<double>(plan.moments)).epsilon(0.1));
    CHECK(static_cast<double>(peak.transient()) ==
          Approx(static_cast<double>(plan.transient())).epsilon(0.1));
  }
}

}  // namespace
}  // namespace zebra
