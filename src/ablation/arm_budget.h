#pragma once

#include <cstdint>

#include "ablation/sweep_file.h"
#include "config/config.h"

namespace zebra {

/// What a run costs by the closed forms of model/cost.h.
struct ArmCost {
  std::int64_t parameters = 0;
  std::int64_t steps = 0;
  std::int64_t tokens = 0;     ///< of all steps together
  double flops_per_token = 0;  ///< of training: three times the forward pass
  double flops = 0;            ///< of all tokens together
};

// All of these want model.vocab_size to be known.

ArmCost arm_cost(const Config& config);

/// Sets model.intermediate_size to the multiple of 8 that brings the number of parameters nearest
/// to `parameters`; leaves it as it is where they are equal already. Throws InputError when even
/// the smallest size is too large for that.
void match_parameters(Config& config, std::int64_t parameters);

/// Sets train.max_steps so that the run reads as many tokens, or spends as many training FLOPs, as
/// `base` does (to the nearest step, at least one), with its warm-ups and its decay in proportion.
/// Leaves the run as it is for Budget::steps.
void match_budget(Config& config, Budget budget, const ArmCost& base);

}  // namespace zebra
