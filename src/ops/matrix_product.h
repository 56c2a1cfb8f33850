#pragma once

#include <torch/types.h>

namespace zebra {

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

/// sum += a b, for a float32 `sum` [m, n].
void add_matrix_product(torch::Tensor& sum, const torch::Tensor& a, const torch::Tensor& b);

}  // namespace zebra
