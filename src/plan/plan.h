#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "plan/context_cost.h"
#include "plan/model_cost.h"
#include "plan/sharding_cost.h"
#include "plan/step_time.h"

namespace zebra {

/// Bytes of a sequence's key-value cache in bf16.
struct PlannedCache {
  std::int64_t length = 0;
  std::int64_t bytes = 0;
  std::int64_t bytes_full_attention = 0;  ///< of the same model with every layer global
};

struct PlannedTime {
  Hardware hardware;
  StepTime step;
};

/// What a run will cost before it is paid for, by the closed forms of this folder.
struct Plan {
  Config config;
  ParameterCount parameters;
  ForwardFlops forward_flops;                    ///< per token, averaged over the training
  double recomputed_flops = 0;                   ///< per token, by activation checkpointing
  double cost_relative_to_full_attention = 1.0;  ///< of the forward pass

  ShardedModel sharding;
  double newton_schulz_flops = 0;  ///< of a step, of the rank that has most of it; 0 without Muon
  std::int64_t micro_batches = 1;  ///< of a rank in a step
  RankMemory state;                ///< bytes of a rank
  ActivationBytes activations;     ///< bytes of a rank: an estimate for bf16
  Traffic traffic;                 ///< bytes that a rank sends in a step
  ContextTraffic context;          ///< and in a micro-batch, where ranks share sequences
  /// Master weights and both moments, or Muon's momentum, in float32.
  std::int64_t checkpoint_bytes = 0;
  /// Bytes of host memory that a rank's share of a checkpoint takes while it is written
  /// (checkpoint/host_copy.h); kept from the first save on.
  std::int64_t host_copy_bytes = 0;
  std::vector<PlannedCache> caches;  ///< lengths ascending
  std::optional<PlannedTime> time;

  std::int64_t tokens_per_step() const;
  std::int64_t tokens() const;
  double training_flops_per_token() const { return kTrainingPasses * forward_flops.total(); }
  double training_flops() const;
  /// With `time` alone.
  double tokens_per_second() const;
  /// Bytes that a rank's training takes at its peak, without libraries and their workspaces: state
  /// and activations, which take twice as much in fp32.
  std::int64_t training_bytes_per_rank() const;
};

/// Of a run on so many ranks, whose batch sizes fit them; with `hardware` also the time of a step.
/// Throws InputError as shard_model does.
Plan make_plan(const Config& config, std::int64_t ranks = 1,
               const std::optional<Hardware>& hardware = std::nullopt);

/// For scripts (`zebra plan --json`). Activations are given in bf16 alone, in which the estimate
/// was made.
nlohmann::ordered_json to_json(const Plan& plan);

/// As tables for people.
std::string to_text(const Plan& plan);

}  // namespace zebra
