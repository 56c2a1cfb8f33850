#pragma once

#include <cstdint>

#include "config/config.h"

namespace zebra {

/// Bytes that a micro-batch's forward pass leaves on its rank for the backward pass: an estimate
/// for bf16 on CUDA, where local layers run our kernels and global ones FlashAttention. Gradients
/// of activations and the kernels' own workspaces come on top.
struct ActivationBytes {
  std::int64_t blocks = 0;   ///< kept by all blocks
  std::int64_t at_work = 0;  ///< on top at the peak: the head's, or those of a block computed again

  std::int64_t total() const { return blocks + at_work; }
};

/// Per token a block keeps, in values of 2 bytes (d, f, q, kv as in plan/model_cost.h):
///   4 d            its input and that of the feed-forward part, before and after the norm
///   q + 2 kv + q   queries, keys, values, and what attention makes of them
///   kv             local layers: rotated keys
///   q + kv         global layers: rotated queries and keys
///   q + 2 kv       with QK-norm: the packed projection once more, normalised
///   2 f            gate and up; silu(gate) and its product with up are computed again
/// and in float32 one value a norm and one a query head. Of a block that is computed again the
/// input alone is kept (d), with `selective` also attention's result (q, a float32 value a head,
/// and in local layers kv). The head keeps 3 d a token, and a float32 gradient of its weights (4
/// V d).
ActivationBytes activation_bytes(const Config& config);

}  // namespace zebra
