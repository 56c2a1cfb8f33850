#include "plan/plan.h"

#include <set>

#include "config/model_config.h"
#include "plan/muon_cost.h"

namespace zebra {
namespace {

std::vector<PlannedCache> caches_of(const Config& config) {
  std::vector<PlannedCache> caches;
  const auto full = with_full_attention(config.model);
  for (const auto length :
       std::set<std::int64_t>{config.data.sequence_length, 4096, 32768, 131072}) {
    caches.push_back({length, key_value_cache_bytes(config.model, length, kCacheValueBytes),
                      key_value_cache_bytes(full, length, kCacheValueBytes)});
  }
  return caches;
}

}  // namespace

Plan make_plan(const Config& config, std::int64_t ranks, const std::optional<Hardware>& hardware) {
  const auto length = config.data.sequence_length;
  Plan plan;
  plan.config = config;
  plan.parameters = count_parameters(config.model);
  plan.forward_flops = mean_forward_flops_per_token(config);
  plan.recomputed_flops = recomputed_flops_per_token(config);
  plan.cost_relative_to_full_attention =
      plan.forward_flops.total() /
      forward_flops_per_token(with_full_attention(config.model), length).total();
  plan.sharding = shard_model(config.model, config.train.precision, config.parallel, ranks,
                              config.optimizer.type);
  plan.micro_batches = config.train.global_batch_size * context_ranks(config.parallel, ranks) /
                       (config.train.micro_batch_size * ranks);
  plan.state = memory_per_rank(plan.sharding);
  plan.activations = activation_bytes(config);
  plan.traffic = traffic_per_step(plan.sharding, plan.micro_batches);
  plan.context = context_traffic(config);
  plan.checkpoint_bytes = 3 * kFloatBytes * plan.parameters.total();
  if (config.optimizer.type == OptimizerType::muon) {
    const auto matrices = hidden_matrices(unit_specs(config.model));
    for (const auto& [rows, columns] : matrices)
      plan.checkpoint_bytes -= kFloatBytes * rows * columns;
    plan.newton_schulz_flops =
        busiest_newton_schulz_flops(matrices, static_cast<int>(plan.sharding.shards));
  }
  plan.host_copy_bytes = (plan.checkpoint_bytes + ranks - 1) / ranks;
  plan.caches = caches_of(config);
  if (hardware) plan.time = {*hardware, step_time(config, plan.sharding, *hardware)};
  return plan;
}

std::int64_t Plan::tokens_per_step() const {
  return config.train.global_batch_size * config.data.sequence_length;
}

std::int64_t Plan::tokens() const { return tokens_per_step() * config.train.max_steps; }

double Plan::training_flops() const {
  return training_flops_per_token() * static_cast<double>(tokens());
}

double Plan::tokens_per_second() const {
  return static_cast<double>(tokens_per_step()) / time.value().step.step();
}

std::int64_t Plan::training_bytes_per_rank() const {
  const std::int64_t factor = config.train.precision == Precision::fp32 ? 2 : 1;
  return state.total() + factor * activations.total();
}

}  // namespace zebra
