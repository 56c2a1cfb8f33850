#include "ablation/ladder.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "ablation/sweep.h"
#include "ablation/sweep_folder.h"
#include "base/error.h"
#include "plan/model_cost.h"

namespace zebra {
namespace {

/// So that no arm is evaluated more often than another of the same base run.
std::int64_t stretched_up(std::int64_t part, std::int64_t old_steps, std::int64_t steps) {
  return (part * steps + old_steps - 1) / old_steps;
}

}  // namespace

void check_ladder(const SweepFile& file, Report& report) {
  if (!file.ladder.is_given()) return;
  if (file.budget != Budget::steps) {
    report.problem("budget",
                   "a ladder gives each arm its own tokens, by ladder.tokens_per_parameter; remove "
                   "one of the two");
  }
  if (file.equal_parameters) {
    report.problem("equal_parameters",
                   "a ladder gives sizes of its own, ladder.sizes; remove one of the two");
  }
  for (const Axis& axis : file.grid.axes) {
    for (const std::string key : {"train.max_steps", "train.max_tokens"}) {
      if (!axis.sets_key(key)) continue;
      report.locate(axis.path, axis.origin);
      report.problem(axis.path, "cannot set " + key +
                                    ": ladder.tokens_per_parameter decides it for each arm; remove "
                                    "one of the two");
    }
  }
}

std::int64_t scaling_parameters(const ModelConfig& model) {
  const ParameterCount count = count_parameters(model);
  return count.head > 0 ? count.total() - count.embedding : count.total();
}

void train_for(Config& config, double tokens_per_parameter) {
  const std::int64_t old_steps = config.train.max_steps;
  if (old_steps < 1) {
    throw InputError(
        "train.max_steps: missing: the ladder decides how long each arm trains, but its warm-ups "
        "and evaluations are parts of the base run's steps; give it there");
  }
  const double tokens =
      tokens_per_parameter * static_cast<double>(scaling_parameters(config.model));
  const auto tokens_per_step =
      static_cast<double>(config.train.global_batch_size * config.data.sequence_length);
  set_steps(config, std::max<std::int64_t>(1, std::llround(tokens / tokens_per_step)));
  config.eval.every_steps =
      stretched_up(config.eval.every_steps, old_steps, config.train.max_steps);
}

std::int64_t longest_length(const Sweep& sweep) {
  std::int64_t longest = 0;
  for (const Arm& arm : sweep.arms) longest = std::max(longest, arm.config.data.sequence_length);
  for (const auto* lengths : {&sweep.file.probes.lengths, &sweep.file.cost_lengths})
    for (const std::int64_t length : *lengths) longest = std::max(longest, length);
  return longest;
}

std::vector<CostRun> cost_runs(const Sweep& sweep) {
  std::vector<CostRun> runs;
  std::vector<std::set<std::string>> patterns;
  for (const Arm& arm : sweep.arms) {
    const std::string size = arm.ladder ? arm.ladder->size : "";
    const auto known = std::ranges::find(runs, size, &CostRun::size);
    const auto index = static_cast<std::size_t>(known - runs.begin());
    if (known == runs.end()) {
      runs.push_back({size, arm.name, {}, cost_file(sweep.file.dir, size)});
      patterns.emplace_back();
    }
    patterns[index].insert(pattern_of(arm.config.model.layers));
  }
  for (std::size_t i = 0; i < runs.size(); ++i)
    runs[i].patterns.assign(patterns[i].begin(), patterns[i].end());
  return runs;
}

nlohmann::ordered_json ladder_json(const Arm& arm, std::int64_t longest_length) {
  return {{"layout", arm.ladder->layout},
          {"size", arm.ladder->size},
          {"tokens_per_parameter", arm.ladder->tokens_per_parameter},
          {"learning_rate", arm.config.optimizer.lr},
          {"parameters", scaling_parameters(arm.config.model)},
          {"key_value_cache_bytes",
           key_value_cache_bytes(arm.config.model, longest_length, kCacheValueBytes)}};
}

}  // namespace zebra
