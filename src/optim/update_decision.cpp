#include "optim/update_decision.h"

namespace zebra {

double clip_scale(double norm, double limit) {
  return limit == 0.0 || !(norm > limit) ? 1.0 : limit / norm;
}

torch::Tensor update_decision(const torch::Tensor& loss, const torch::Tensor& norm,
                              double largest_norm, double clip_limit) {
  const auto scale = clip_limit > 0.0 ? (clip_limit / norm).clamp_max(1.0) : torch::ones_like(norm);
  const auto applies =
      torch::isfinite(loss).logical_and(torch::isfinite(norm)).logical_and(norm <= largest_norm);
  return torch::stack({scale, applies.to(torch::kFloat64)}).to(torch::kFloat32);
}

}  // namespace zebra
