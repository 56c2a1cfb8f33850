#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/report.h"

// The ladder of a sweep: the same layouts at several sizes, lengths of training and learning rates,
// from which the report fits a scaling law. Its three lists are axes of the sweep like any other;
// what they have beyond that is here.

namespace zebra {

struct Arm;
struct Sweep;
struct SweepFile;

/// Names of the axes that a ladder gives; its learning rates are an axis of optimizer.lr.
inline constexpr const char* kLadderSizes = "ladder.sizes";
/// Also the key of a setting, which tells how long an arm trains and is no key of its run file.
inline constexpr const char* kTokensPerParameter = "ladder.tokens_per_parameter";
inline constexpr const char* kLadderRates = "ladder.learning_rates";

struct LadderOptions {
  std::vector<double> tokens_per_parameter;
  std::vector<double> learning_rates;

  bool is_given() const { return !tokens_per_parameter.empty(); }
};

/// Where an arm stands.
struct LadderPoint {
  std::string layout;  ///< labels of the sweep's other axes but the seeds; "base" without any
  std::string size;
  double tokens_per_parameter = 0;
};

/// Refuses what a ladder decides itself: a budget, equal parameters, keys of the training's length.
void check_ladder(const SweepFile& file, Report& report);

/// Parameters as scaling laws count them here: all that take part in a matrix product or a norm,
/// which leaves out an embedding that is no head as well. FLOPs per token are about six times that.
std::int64_t scaling_parameters(const ModelConfig& model);

/// Sets train.max_steps so that the run reads `tokens_per_parameter` tokens for each of its
/// scaling_parameters (to the nearest step, at least one), with warm-ups, decay and
/// eval.every_steps in proportion: all arms are evaluated equally often. Throws InputError when
/// there are no steps that these are parts of.
void train_for(Config& config, double tokens_per_parameter);

/// The longest length that the sweep trains on, probes or measures, in tokens.
std::int64_t longest_length(const Sweep& sweep);

/// A run of `zebra bench`: the model of `arm` in each of these patterns of layers.
struct CostRun {
  std::string size;  ///< of a ladder, else empty
  std::string arm;
  std::vector<std::string> patterns;  ///< ascending
  std::filesystem::path output;
};

/// One for each size of a ladder, in the order of the sweep, else one for all arms.
std::vector<CostRun> cost_runs(const Sweep& sweep);

/// What results.json has of a ladder for an arm that stands on one.
nlohmann::ordered_json ladder_json(const Arm& arm, std::int64_t longest_length);

}  // namespace zebra
