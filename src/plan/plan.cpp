#include "plan/plan.h"

#include <nlohmann/json.hpp>
#include <set>

#include "config/model_config.h"
#include "plan/activation_memory.h"
#include "plan/model_cost.h"
#include "plan/sharding_cost.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kFloatBytes = 4;

/// Master weights and both moments in float32.
std::int64_t checkpoint_bytes(const ParameterCount& count) {
  return 3 * kFloatBytes * count.total();
}

Json parameters_json(const ParameterCount& count) {
  return {{"embedding", count.embedding},
          {"attention", count.attention},
          {"feed_forward", count.feed_forward},
          {"norms", count.norms},
          {"head", count.head},
          {"total", count.total()}};
}

Json flops_json(const ForwardFlops& flops) {
  return {{"projections", flops.projections},
          {"feed_forward", flops.feed_forward},
          {"global_attention", flops.global_attention},
          {"local_attention", flops.local_attention},
          {"head", flops.head},
          {"total", flops.total()}};
}

Json ranks_json(const ShardedModel& sharded, std::int64_t micro_batches) {
  return {{"count", sharded.ranks()},
          {"shards", sharded.shards},
          {"replicas", sharded.replicas},
          {"micro_batches_per_step", micro_batches}};
}

Json memory_json(const RankMemory& memory) {
  return {{"weights", memory.weights},
          {"gradients", memory.gradients},
          {"masters", memory.masters},
          {"moments", memory.moments},
          {"gathered_weights", memory.gathered_weights},
          {"gradients_in_flight", memory.gradients_in_flight},
          {"reduction_copies", memory.reduction_copies},
          {"total", memory.total()}};
}

Json activations_json(const ActivationBytes& bytes) {
  return {{"blocks", bytes.blocks}, {"at_work", bytes.at_work}, {"total", bytes.total()}};
}

Json traffic_json(const Traffic& traffic) {
  return {{"gathered_weights", traffic.gathers},
          {"scattered_gradients", traffic.scatters},
          {"all_reduced_gradients", traffic.all_reduces},
          {"total", traffic.total()}};
}

Json cache_json(const Config& config) {
  Json rows = Json::array();
  const auto full = with_full_attention(config.model);
  for (const std::int64_t length :
       std::set<std::int64_t>{config.data.sequence_length, 4096, 32768, 131072}) {
    rows.push_back({{"length", length},
                    {"bytes", key_value_cache_bytes(config.model, length, 2)},
                    {"bytes_full_attention", key_value_cache_bytes(full, length, 2)}});
  }
  return rows;
}

Json overlap_json(const Overlap& overlap) {
  return {{"compute", overlap.compute},
          {"communication", overlap.communication},
          {"hidden", overlap.is_hidden()}};
}

Json hardware_json(const Hardware& hardware, Precision precision) {
  const auto& [gpu, network, gpus_per_host] = hardware.cluster;
  return {{"gpu", gpu.name},
          {"peak_flops", peak_flops(gpu, precision)},
          {"memory_bytes", gpu.memory_bytes},
          {"gpus_per_host", gpus_per_host},
          {"fast_link_bytes_per_second", gpu.link_bytes_per_second},
          {"network_bytes_per_second", network},
          {"efficiency", hardware.efficiency}};
}

Json time_json(const StepTime& time) {
  return {{"compute", time.compute},
          {"fast_link", time.fast_link},
          {"network", time.network},
          {"block_forward", overlap_json(time.forward)},
          {"block_backward", overlap_json(time.backward)},
          {"exposed",
           {{"in_passes", time.in_passes},
            {"after_last_pass", time.after_last_pass},
            {"before_first_pass", time.before_first_pass},
            {"total", time.exposed()}}},
          {"step", time.step()}};
}

}  // namespace

std::int64_t training_bytes_per_rank(const Config& config, std::int64_t ranks) {
  const auto sharded = shard_model(config.model, config.train.precision, config.parallel, ranks);
  const std::int64_t factor = config.train.precision == Precision::fp32 ? 2 : 1;
  return memory_per_rank(sharded).total() + factor * activation_bytes(config).total();
}

std::int64_t host_copy_bytes_per_rank(const Config& config, std::int64_t ranks) {
  return (checkpoint_bytes(count_parameters(config.model)) + ranks - 1) / ranks;
}

nlohmann::ordered_json plan_json(const Config& config, std::int64_t ranks,
                                 const std::optional<Hardware>& hardware) {
  const auto count = count_parameters(config.model);
  const auto flops = forward_flops_per_token(config.model, config.data.sequence_length);
  const auto full =
      forward_flops_per_token(with_full_attention(config.model), config.data.sequence_length);
  const auto tokens_per_step = config.train.global_batch_size * config.data.sequence_length;
  const auto tokens = tokens_per_step * config.train.max_steps;
  const auto sharded = shard_model(config.model, config.train.precision, config.parallel, ranks);
  const auto micro_batches =
      config.train.global_batch_size / (config.train.micro_batch_size * ranks);

  Json plan;
  plan["layers"] = Json::array();
  for (const auto kind : config.model.layers) plan["layers"].push_back(kind_name(kind));
  plan["parameters"] = parameters_json(count);
  plan["forward_flops_per_token"] = flops_json(flops);
  plan["training_flops_per_token"] = kTrainingPasses * flops.total();
  plan["recomputed_flops_per_token"] = recomputed_flops_per_token(config);
  plan["cost_relative_to_full_attention"] = flops.total() / full.total();
  plan["ranks"] = ranks_json(sharded, micro_batches);
  plan["state_bytes_per_rank"] = memory_json(memory_per_rank(sharded));
  if (config.train.precision == Precision::bf16) {
    plan["activation_bytes_per_rank"] = activations_json(activation_bytes(config));
  }
  plan["bytes_sent_per_rank_and_step"] = traffic_json(traffic_per_step(sharded, micro_batches));
  plan["checkpoint_bytes"] = checkpoint_bytes(count);
  plan["host_copy_bytes_per_rank"] = host_copy_bytes_per_rank(config, ranks);
  plan["key_value_cache"] = cache_json(config);
  plan["steps"] = config.train.max_steps;
  plan["tokens_per_step"] = tokens_per_step;
  plan["tokens"] = tokens;
  plan["training_flops"] = kTrainingPasses * flops.total() * static_cast<double>(tokens);
  if (hardware) {
    const auto time = step_time(config, sharded, *hardware);
    plan["hardware"] = hardware_json(*hardware, config.train.precision);
    plan["seconds_per_step"] = time_json(time);
    plan["tokens_per_second"] = static_cast<double>(tokens_per_step) / time.step();
  }
  return plan;
}

}  // namespace zebra
