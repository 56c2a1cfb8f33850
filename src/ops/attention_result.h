#pragma once

#include <torch/types.h>

namespace zebra {

/// What one call of attention computed: its output and what its backward needs. Kept by a caller
/// whose second call with equal inputs need not compute it again (selective activation
/// checkpointing). Empty until a call fills it; a kernel that leaves nothing to keep leaves it so.
struct AttentionResult {
  torch::Tensor out;          ///< [B, T, Hq, D]
  torch::Tensor log_sum_exp;  ///< of each query's scaled scores, float32, as its kernel lays it out
  torch::Tensor saved;        ///< whatever else the kernel's backward asks for; may be undefined

  bool is_filled() const { return out.defined(); }
};

}  // namespace zebra
