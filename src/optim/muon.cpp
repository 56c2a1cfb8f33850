#include "optim/muon.h"

#include <algorithm>
#include <cmath>

namespace zebra {
namespace {

constexpr int kNewtonSchulzSteps = 5;
constexpr double kLeastNorm = 1e-7;
// Coefficients of x, x^3 and x^5 (Jordan et al.): steepest at 0, and [0, 1] stays near 1.
constexpr double kLinear = 3.4445, kCubic = -4.7750, kQuintic = 2.0315;

// Torch's lerp, with every operation rounded.
torch::Tensor between(const torch::Tensor& start, const torch::Tensor& end, double weight) {
  const auto difference = end - start;
  return weight < 0.5 ? start + difference * weight : end - difference * (1.0 - weight);
}

torch::Tensor applies(const MuonStep& step) { return step.decision[1] > 0.0; }

}  // namespace

torch::Tensor muon_direction(const torch::Tensor& momentum, const torch::Tensor& gradients,
                             const MuonStep& step) {
  const torch::NoGradGuard no_grad;
  // Gradients of a skipped step may not be finite.
  const auto scaled = torch::where(applies(step), gradients * step.decision[0], momentum);
  momentum.copy_(between(momentum, scaled, 1.0 - step.momentum));
  return between(scaled, momentum, step.momentum).to(torch::kBFloat16);
}

torch::Tensor orthogonalized(const torch::Tensor& direction) {
  const torch::NoGradGuard no_grad;
  const bool is_tall = direction.size(0) > direction.size(1);
  auto x = is_tall ? direction.t() : direction;
  x = x / x.norm().clamp_min(kLeastNorm);
  for (int i = 0; i < kNewtonSchulzSteps; ++i) {
    const auto gram = x.mm(x.t());
    x = torch::addmm(x, torch::addmm(gram, gram, gram, kCubic, kQuintic), x, kLinear);
  }
  return is_tall ? x.t() : x;
}

double muon_scale(MuonScale scale, std::int64_t rows, std::int64_t columns) {
  const auto r = static_cast<double>(rows), c = static_cast<double>(columns);
  switch (scale) {
    case MuonScale::original:
      return std::sqrt(std::max(1.0, r / c));
    case MuonScale::match_rms_adamw:
      return 0.2 * std::sqrt(std::max(r, c));
    case MuonScale::spectral_unclamped:
      break;
  }
  return std::sqrt(r / c);
}

void muon_update(const torch::Tensor& weights, const torch::Tensor& update, double scale,
                 const MuonStep& step) {
  const torch::NoGradGuard no_grad;
  const auto done = applies(step);
  weights.mul_(torch::where(done, 1.0 - step.lr * step.weight_decay, 1.0));
  weights.add_(update.to(torch::kFloat32) * torch::where(done, -step.lr * scale, 0.0));
}

}  // namespace zebra
