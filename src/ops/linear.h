#pragma once

#include <torch/types.h>

namespace zebra {

/// x [..., k] times the transpose of weight [n, k]: [..., n] in x's type (see matrix_product.h).
/// Differentiable in both.
torch::Tensor linear_projection(const torch::Tensor& x, const torch::Tensor& weight);

/// The gradient of such a weight, d_out [N, n] and x [N, k]: added where it is accumulated
/// (accumulated_gradient.h), and then undefined, or [n, k]. For operations that contain a linear
/// one.
torch::Tensor linear_weight_gradient(const torch::Tensor& weight, const torch::Tensor& d_out,
                                     const torch::Tensor& x);

}  // namespace zebra
