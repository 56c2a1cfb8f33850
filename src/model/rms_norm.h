#pragma once

#include <torch/torch.h>

namespace zebra {

/// x / sqrt(mean(x^2) + eps) * weight over the last dimension (Zhang and Sennrich, arXiv
/// 1910.07467), in float32.
class RMSNormImpl : public torch::nn::Cloneable<RMSNormImpl> {
 public:
  RMSNormImpl(std::int64_t width, double eps) : width_(width), eps_(eps) { reset(); }
  void reset() override { weight = register_parameter("weight", torch::ones({width_})); }

  /// x [..., width] -> the same shape and type.
  torch::Tensor forward(const torch::Tensor& x) { return at::rms_norm(x, {width_}, weight, eps_); }

  torch::Tensor weight;  ///< [width]

 private:
  std::int64_t width_;
  double eps_;
};
TORCH_MODULE(RMSNorm);

}  // namespace zebra
