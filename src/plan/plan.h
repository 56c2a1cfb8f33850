#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "config/config.h"
#include "plan/step_time.h"

namespace zebra {

/// What a run on so many ranks will cost before it is paid for: layers, parameters, FLOPs per
/// token, bytes in memory and on the wire for each rank, all by part, checkpoint size, tokens and
/// steps; with `hardware` also the time of a step. `config` has model.vocab_size, and its batch
/// sizes fit the ranks. Closed forms: plan/model_cost.h, plan/sharding_cost.h,
/// plan/activation_memory.h, plan/step_time.h.
nlohmann::ordered_json plan_json(const Config& config, std::int64_t ranks = 1,
                                 const std::optional<Hardware>& hardware = std::nullopt);

/// plan_json as tables for people.
std::string plan_text(const Config& config, std::int64_t ranks = 1,
                      const std::optional<Hardware>& hardware = std::nullopt);

/// Bytes that a rank's training takes at its peak, without libraries and their workspaces: state
/// and activations (plan/activation_memory.h, twice as much in fp32).
std::int64_t training_bytes_per_rank(const Config& config, std::int64_t ranks = 1);

/// Bytes of host memory that a rank's share of a checkpoint takes while it is written
/// (checkpoint/checkpoint_writer.h); kept from the first save on.
std::int64_t host_copy_bytes_per_rank(const Config& config, std::int64_t ranks = 1);

}  // namespace zebra
