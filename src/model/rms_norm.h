#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

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
  void reset() override;

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
RMSNorm listed_norm(const std::string& path, const std::vector<ParameterSpec>& list, double eps,
                    ParameterMemory memory);

}  // namespace zebra
