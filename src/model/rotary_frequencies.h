#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "config/config.h"
#include "model/layout.h"
#include "ops/attention_inputs.h"

namespace zebra {

struct RotaryFrequencies {
  std::vector<double> radians_per_token;  ///< one per pair (j, j + D / 2); empty: no rotary
                                          ///< embedding in this kind of layer
  double amplitude = 1.0;  ///< factor on cosines and sines (YaRN's attention temperature)

  bool operator==(const RotaryFrequencies&) const = default;
};

/// Inverse frequencies of one kind of layer, scaled as `rope_scaling` says (local layers are not
/// where it names global ones only). `longest` is the
/// longest length of the call (dynamic NTK depends on it). Sources: none, Su et al. arXiv
/// 2104.09864; linear, Chen et al. arXiv 2306.15595; dynamic NTK and YaRN, Peng et al. arXiv
/// 2309.00071, with HuggingFace's conventions.
RotaryFrequencies rotary_frequencies(const ModelSection& model, LayerKind kind,
                                     std::int64_t longest);

/// Cosines and sines at `positions` (any shape, int64): [..., D / 2] float32, computed in float64.
RotaryFactors rotary_factors(const RotaryFrequencies& frequencies, const torch::Tensor& positions);

}  // namespace zebra
