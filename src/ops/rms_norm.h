#pragma once

#include <torch/types.h>

namespace zebra {

/// x / sqrt(mean(x^2) + eps) * weight over the last dimension (Zhang and Sennrich, arXiv
/// 1910.07467), in float32, rounded once. x [..., d], weight [d] of x's type. Differentiable.
torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& weight, double eps);

/// The residual stream where a part of a layer begins: itself, and what the part reads.
struct NormedResidual {
  torch::Tensor sum;     ///< x + added, rounded to x's type; x where nothing is added
  torch::Tensor normed;  ///< rms_norm(sum)
};

/// Both in one pass over memory, and so in the backward: what reaches `sum` along the residual
/// stream and through the norm is added up there. `added` [..., d], undefined: nothing.
NormedResidual residual_rms_norm(const torch::Tensor& x, const torch::Tensor& added,
                                 const torch::Tensor& weight, double eps);

/// The same in LibTorch's own operations: the reference of the fused kernel.
NormedResidual plain_residual_rms_norm(const torch::Tensor& x, const torch::Tensor& added,
                                       const torch::Tensor& weight, double eps);

}  // namespace zebra
