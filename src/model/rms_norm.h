#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <algorithm>
#include <string>
#include <vector>

#include "model/parameter.h"
#include "ops/rms_norm.h"

namespace zebra {

/// x / sqrt(mean(x^2) + eps) * weight over the last dimension (Zhang and Sennrich, arXiv
/// 1910.07467), in float32.
class RMSNormImpl : public torch::nn::Cloneable<RMSNormImpl> {
 public:
  RMSNormImpl(std::int64_t width, double eps, ParameterMemory memory = ParameterMemory::allocated)
      : width_(width), eps_(eps), memory_(memory) {
    reset();
  }
  void reset() override {
    weight = register_listed(
        *this, "weight", {{"weight", ParameterRole::norm, kOnes, {{"weight", {width_}}}}}, memory_);
    const torch::NoGradGuard no_grad;
    if (memory_ == ParameterMemory::allocated) weight.fill_(1.0);
  }

  /// x [..., width] -> the same shape and type.
  torch::Tensor forward(const torch::Tensor& x) { return rms_norm(x, weight, eps_); }

  /// x + added (x where `added` is undefined) and its norm: see residual_rms_norm.
  NormedResidual forward(const torch::Tensor& x, const torch::Tensor& added) {
    return residual_rms_norm(x, added, weight, eps_);
  }

  torch::Tensor weight;  ///< [width]

 private:
  std::int64_t width_;
  double eps_;
  ParameterMemory memory_;
};
TORCH_MODULE(RMSNorm);

/// The norm whose weight has that path in the list; null where the list has none.
inline RMSNorm listed_norm(const std::string& path, const std::vector<ParameterSpec>& list,
                           double eps, ParameterMemory memory) {
  const auto spec = std::ranges::find(list, path, &ParameterSpec::path);
  return spec == list.end() ? RMSNorm(nullptr) : RMSNorm(spec->numel(), eps, memory);
}

}  // namespace zebra
