#include "ablation/arm_budget.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "config/resolve.h"
#include "model/cost.h"

namespace zebra {
namespace {

constexpr double kTrainingPasses = 3.0;  // backward costs twice the forward
constexpr std::int64_t kSizeUnit = 8;    // matrix products want their sizes in such units

std::int64_t parameters_with(ModelSection model, std::int64_t intermediate_size) {
  model.intermediate_size = intermediate_size;
  return count_parameters(model).total();
}

/// Keeps what a run file must satisfy: the warm-up, and the decay after it, fit into the steps.
void stretch_schedule(ScheduleSection& schedule, std::int64_t old_steps, std::int64_t steps) {
  const double ratio = static_cast<double>(steps) / static_cast<double>(old_steps);
  const auto stretched = [&](std::int64_t part) {
    return static_cast<std::int64_t>(std::llround(static_cast<double>(part) * ratio));
  };
  if (schedule.decay_steps) {
    schedule.decay_steps = std::clamp<std::int64_t>(stretched(*schedule.decay_steps), 1, steps);
  }
  const bool has_decay = schedule.type == ScheduleType::wsd;
  const std::int64_t longest = has_decay ? steps - decay_steps(schedule, steps) : steps;
  schedule.warmup_steps = std::min(stretched(schedule.warmup_steps), longest);
  schedule.window_warmup_steps = stretched(schedule.window_warmup_steps);
}

}  // namespace

ArmCost arm_cost(const Config& config) {
  ArmCost cost;
  cost.parameters = count_parameters(config.model).total();
  cost.steps = config.train.max_steps;
  cost.tokens = cost.steps * config.train.global_batch_size * config.data.sequence_length;
  cost.flops_per_token =
      kTrainingPasses * forward_flops_per_token(config.model, config.data.sequence_length).total();
  cost.flops = cost.flops_per_token * static_cast<double>(cost.tokens);
  return cost;
}

void match_parameters(Config& config, std::int64_t parameters) {
  const ModelSection& model = config.model;
  if (count_parameters(model).total() == parameters) return;
  const std::int64_t smallest = parameters_with(model, kSizeUnit);
  const std::int64_t per_unit = parameters_with(model, 2 * kSizeUnit) - smallest;
  const std::int64_t beyond = parameters - smallest + per_unit / 2;
  if (beyond < 0) {
    throw InputError("equal_parameters: has " + with_commas(smallest) +
                     " parameters even with model.intermediate_size " + std::to_string(kSizeUnit) +
                     ", against the " + with_commas(parameters) +
                     " of the base; give it fewer layers or less width");
  }
  const std::int64_t units = 1 + beyond / per_unit;
  config.model.intermediate_size = units * kSizeUnit;
}

void match_budget(Config& config, Budget budget, const ArmCost& base) {
  if (budget == Budget::steps) return;
  const ArmCost own = arm_cost(config);
  const auto tokens_per_step = static_cast<double>(own.tokens / own.steps);
  const double exact = budget == Budget::flops
                           ? base.flops / (own.flops_per_token * tokens_per_step)
                           : static_cast<double>(base.tokens) / tokens_per_step;
  const std::int64_t steps = std::max<std::int64_t>(1, std::llround(exact));
  stretch_schedule(config.schedule, own.steps, steps);
  config.train.max_steps = steps;
}

}  // namespace zebra
