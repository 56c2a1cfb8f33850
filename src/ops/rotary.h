#pragma once

#include <torch/types.h>

namespace zebra {

/// Cosines and sines of the rotary angles of each token: [T, D / 2] or [B, T, D / 2], float32.
/// Undefined: no rotation.
struct RotaryFactors {
  torch::Tensor cos, sin;

  bool defined() const { return cos.defined(); }
};

/// Rotary position embedding (Su et al., arXiv 2104.09864) with the pairing (j, j + D / 2) of
/// HuggingFace's Llama:
///   out[j] = x[j] cos[j] - x[j + D/2] sin[j],   out[j + D/2] = x[j + D/2] cos[j] + x[j] sin[j].
/// x is [B, T, H, D] of any strides; computed in float32 and rounded once to x's type.
/// Differentiable in x. Returns x itself when `factors` is undefined.
torch::Tensor apply_rotary(const torch::Tensor& x, const RotaryFactors& factors);

}  // namespace zebra
