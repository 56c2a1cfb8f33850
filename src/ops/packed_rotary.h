#pragma once

#include <torch/types.h>

#include "ops/packed_heads.h"
#include "ops/rotary.h"

namespace zebra {

/// Queries, keys and values for an attention kernel that does not rotate them itself.
struct RotatedHeads {
  torch::Tensor q, k;  ///< [B, T, Hq, D] and [B, T, Hkv, D]: views of one array
  torch::Tensor v;     ///< [B, T, Hkv, D], a view of the packed heads
};

/// apply_rotary of queries and keys in one pass over memory; the backward writes the gradient of
/// the packed heads in place, without joining three. Differentiable. Without factors nothing is
/// rotated.
RotatedHeads packed_rotary(const PackedHeads& packed, const RotaryFactors& factors);

}  // namespace zebra
