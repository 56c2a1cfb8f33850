#pragma once

#include <torch/types.h>

namespace zebra {

/// Rows of `weight` [V, d] for `tokens` [B, T] (int64): [B, T, d]. Differentiable in `weight`; the
/// gradients of a token that occurs often are added in float32 whatever the weight's type, because
/// a bf16 sum stops growing after a few hundred terms.
torch::Tensor token_embedding(const torch::Tensor& tokens, const torch::Tensor& weight);

}  // namespace zebra
