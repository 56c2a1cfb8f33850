#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "bench/cost_model.h"
#include "config/config.h"

namespace zebra {

/// A model and the name under which its costs are listed.
struct NamedLayout {
  std::string label;
  ModelConfig model;  ///< resolved
};

/// Layouts of the resolved model `shape`, whose own attention_pattern does not matter: "full"
/// (every layer global), "local" (every layer local), "mix:L" (layer i, from 0, is global when i %
/// L == 0), or letters as in model.attention_pattern, repeated over the layers. `problems` hears of
/// names that are none of these or come twice, and of a layer that is local where `has_window` is
/// false: nobody has said how many tokens it sees.
std::vector<NamedLayout> named_layouts(const std::vector<std::string>& names,
                                       const ModelConfig& shape, bool has_window,
                                       Problems& problems);

/// Sequence lengths in tokens, ascending. `problems` hears of what is no whole number of at least
/// one token, or comes twice.
std::vector<std::int64_t> sequence_lengths(const std::vector<std::string>& texts,
                                           Problems& problems);

struct CostOptions {
  std::int64_t tokens = 0;  ///< per training pass, as far as whole sequences go: max(1, tokens /
                            ///< length) of them; 0: one
  std::int64_t generated_tokens = 16;  ///< after each prompt; at least 2
  int repeats = 3;
  Precision precision = Precision::fp32;
  Device device = Device::automatic;
  bool deterministic = true;  ///< as train.deterministic
  double grad_clip = 1.0;
  OptimizerSection optimizer = {};
};

/// Bytes at the highest point, without what the process held before.
struct PeakBytes {
  std::int64_t training = 0;    ///< weights, gradients, optimizer state, activations
  std::int64_t generation = 0;  ///< weights, cache, activations of the prompt
};

/// What one layout costs at one length.
struct CostRow {
  std::string label;
  std::string pattern;  ///< one letter per layer
  Workload work;
  CellSeconds measured;           ///< medians
  CellSeconds predicted;          ///< by the rates, which come from the parts of a model alone
  std::optional<PeakBytes> peak;  ///< nothing where the system does not say

  double tokens_per_second() const {
    return static_cast<double>(work.length * work.batch) / measured.training();
  }
};

struct CostMeasurement {
  std::string device, machine;  ///< "cpu" or "cuda"; the processor's or GPU's name
  int threads = 0;              ///< of the processor
  Precision precision = Precision::fp32;
  std::vector<CostRow> rows;  ///< layout by layout, lengths ascending
  std::vector<Rates> rates;   ///< of each layout; the same where only patterns differ
};

/// Measures training and generation of each layout at each of the ascending `lengths`, without
/// activation checkpointing, and the rates that predict them. Random weights and tokens. Layouts
/// and the parts of the model take turns, in `repeats` rounds behind one that does not count (but
/// for cells that take longer than kLongCell seconds, where it saves a repetition), so that noise
/// hits all alike. Holds one model with its optimizer at a time. Shows its progress on standard
/// error.
///
/// Sets LibTorch's numerics for the process as a training run does. Throws InputError where the
/// device does not exist.
CostMeasurement measure_cost(const std::vector<NamedLayout>& layouts,
                             const std::vector<std::int64_t>& lengths, const CostOptions& options);

inline constexpr double kLongCell = 10.0;

/// The length at which the parts of a model are timed: the shortest of at least 4,096, where
/// attention has reached its rate, else the longest.
std::int64_t reference_length(const std::vector<std::int64_t>& lengths);

/// Tables for people: the rates, then training and generation with measured and predicted times.
std::string to_text(const CostMeasurement& measurement);

/// For scripts (`zebra bench --json`), of layouts of one resolved `shape`: device, machine,
/// threads, precision, model, rates (those of the first layout), rows.
nlohmann::ordered_json to_json(const CostMeasurement& measurement, const ModelConfig& shape);

}  // namespace zebra
