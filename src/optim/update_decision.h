#pragma once

#include <torch/types.h>

namespace zebra {

// What is decided between the gradients of a step and its update: how clipping scales them, and
// whether the step is skipped (skip_rule.h).

/// What clipping by norm multiplies all gradients by: limit / norm where `norm` exceeds `limit`,
/// else 1; a limit of 0 means none.
double clip_scale(double norm, double limit);

/// The same decided on the device, which alone knows the scalars `loss` and `norm` (float64) yet:
/// float32 [2] there, clip_scale, and 1 where the step is to be done. It is not where loss or norm
/// is not finite, nor where the norm exceeds `largest_norm` (SkipRule::largest_norm).
torch::Tensor update_decision(const torch::Tensor& loss, const torch::Tensor& norm,
                              double largest_norm, double clip_limit);

}  // namespace zebra
