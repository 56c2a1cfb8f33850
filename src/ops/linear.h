#pragma once

#include <torch/types.h>

namespace zebra {

/// x [..., k] times the transpose of weight [n, k]: [..., n] in x's type (see below).
/// Differentiable in both.
torch::Tensor linear_projection(const torch::Tensor& x, const torch::Tensor& weight);

/// The second half of SwiGLU (Shazeer, arXiv 2002.05202): (silu(gate) * up) x down_weight^T.
/// gate_up [..., 2 f] has the gates, then the values; down_weight [d, f]; result [..., d].
/// Differentiable. Of the activations gate_up alone is kept for the backward, which computes their
/// product again in the pass that forms its gradient.
torch::Tensor swiglu_linear(const torch::Tensor& gate_up, const torch::Tensor& down_weight);

/// The same in LibTorch's own operations: the reference of the fused kernel.
torch::Tensor plain_swiglu_linear(const torch::Tensor& gate_up, const torch::Tensor& down_weight);

/// The gradient of such a weight, d_out [N, n] and x [N, k]: added where it is accumulated
/// (accumulated_gradient.h), and then undefined, or [n, k]. For operations that contain a linear
/// one.
torch::Tensor linear_weight_gradient(const torch::Tensor& weight, const torch::Tensor& d_out,
                                     const torch::Tensor& x);

// Matrix products of training, without autograd. a is [m, k], b [k, n], of one type and any
// strides. bfloat16 products are exact, their sums in float32 and rounded once. Processors without
// instructions for them (docs/performance.md) would have them imitated several times as slowly as
// float32 ones: there they are float32 products of widened copies, a block of rows at a time.

/// The type that products of tensors like a are computed in: float32 where bfloat16 is widened,
/// else a's own. Whoever multiplies the same tensors several times converts them once.
torch::ScalarType product_type(const torch::Tensor& a);

/// [m, n] of the type of a and b.
torch::Tensor matrix_product(const torch::Tensor& a, const torch::Tensor& b);

/// The same into `out`.
void matrix_product_out(torch::Tensor& out, const torch::Tensor& a, const torch::Tensor& b);

/// sum += a b, for a float32 `sum` [m, n]. Without a rounding between, but for bfloat16 on
/// processors that have instructions for it: LibTorch's product there is rounded to bfloat16 first.
void add_matrix_product(torch::Tensor& sum, const torch::Tensor& a, const torch::Tensor& b);

}  // namespace zebra
