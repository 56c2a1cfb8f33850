#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "config/config.h"

namespace zebra {

/// A flat range of weights and its float32 gradients; weight decay applies to elements [0,
/// decayed_size).
struct OptimizerRange {
  torch::Tensor weights;    ///< [n], float32 or bfloat16
  torch::Tensor gradients;  ///< [n], float32
  std::int64_t decayed_size;
};

/// AdamW (Loshchilov and Hutter, arXiv 1711.05101) on flat ranges with float32 state: one pass over
/// each range by our kernel (zebra_kernels/adamw.h), or LibTorch's own operations where fused
/// kernels are off. bfloat16 weights are rounded copies of float32 masters.
class AdamW {
 public:
  AdamW(const OptimizerSection& settings, std::vector<OptimizerRange> ranges);

  /// One update from the gradients times `gradient_scale` at learning rate `lr`. The gradients
  /// are left as they are, or scaled.
  void step(double lr, double gradient_scale = 1.0);

  /// The same as the device decides (update_decision), without waiting for it: the update is
  /// not counted. Who learns later that it took place says so with set_steps_taken().
  void step(double lr, const torch::Tensor& decision);

  /// Rounds the masters into the weights again; to be called after masters were loaded.
  void publish_masters();

  std::int64_t steps_taken() const { return steps_taken_; }
  void set_steps_taken(std::int64_t steps) { steps_taken_ = steps; }

  std::size_t size() const { return ranges_.size(); }
  /// State of range i, each [n] float32. Masters of float32 weights are the weights themselves.
  const torch::Tensor& masters(std::size_t i) const { return masters_[i]; }
  const torch::Tensor& first_moments(std::size_t i) const { return first_moments_[i]; }
  const torch::Tensor& second_moments(std::size_t i) const { return second_moments_[i]; }

 private:
  torch::Tensor step_arguments(const torch::Tensor& decision) const;
  void fused_update(std::size_t range, double lr, const torch::Tensor& step);
  void plain_update(std::size_t range, std::int64_t begin, std::int64_t end, double lr,
                    double weight_decay);

  OptimizerSection settings_;
  std::vector<OptimizerRange> ranges_;
  std::vector<torch::Tensor> masters_, first_moments_, second_moments_;
  std::int64_t steps_taken_ = 0;
};

/// Squared Euclidean norm over all gradients together: a float64 scalar on their device, the same
/// bits every time.
torch::Tensor squared_norm(const std::vector<torch::Tensor>& gradients);

/// What clipping by norm multiplies all gradients by: limit / norm where `norm` exceeds `limit`,
/// else 1; a limit of 0 means none.
double clip_scale(double norm, double limit);

/// What is decided between the gradients of a step and its update, by the device, which alone knows
/// the scalars `loss` and `norm` (float64) yet: float32 [2] there, clip_scale, and 1 where the step
/// is to be done. It is not where loss or norm is not finite, nor where the norm exceeds
/// `largest_norm` (SkipRule::largest_norm).
torch::Tensor update_decision(const torch::Tensor& loss, const torch::Tensor& norm,
                              double largest_norm, double clip_limit);

}  // namespace zebra
