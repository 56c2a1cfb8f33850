#pragma once

#include <torch/types.h>

namespace zebra {

/// While one lives, gradients of weights that our own operations form are added to the weights'
/// `.grad` where they arise, instead of becoming tensors that autograd adds: a pass over memory
/// less, and no rounding to the weight's type before float32 sums, but where add_matrix_product
/// (linear.h) rounds. For backward passes that end in `.grad` anyway (torch::autograd::backward,
/// not torch::autograd::grad), and for the thread that runs them.
class GradientAccumulation {
 public:
  GradientAccumulation() : outer_(active_) { active_ = true; }
  ~GradientAccumulation() { active_ = outer_; }
  GradientAccumulation(const GradientAccumulation&) = delete;
  GradientAccumulation& operator=(const GradientAccumulation&) = delete;

  static bool is_active() { return active_; }

 private:
  static inline thread_local bool active_ = false;
  bool outer_;
};

/// The float32 tensor to which a gradient of `weight` is to be added; undefined where it is to be
/// returned to autograd.
inline torch::Tensor accumulated_gradient(const torch::Tensor& weight) {
  if (!GradientAccumulation::is_active() || !weight.is_leaf()) return {};
  const auto& gradient = weight.grad();
  const bool fits = gradient.defined() && gradient.scalar_type() == torch::kFloat32;
  return fits ? gradient : torch::Tensor();
}

}  // namespace zebra
