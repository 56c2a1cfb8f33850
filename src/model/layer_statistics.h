#pragma once

#include <torch/types.h>

#include <cstddef>
#include <vector>

#include "ops/context_attention.h"

namespace zebra {

/// What the forward passes of one step show of a model's layers, gathered on the device as they
/// pass: nothing here waits for it, and nothing that a pass computes changes.
class LayerStatistics {
 public:
  LayerStatistics(std::size_t layers, torch::Device device);

  /// Forgets the step before.
  void clear();

  /// What layer `layer` gave to the next one, [B, T, hidden_size].
  void add_output(std::size_t layer, const torch::Tensor& output);

  /// A call of attention, with what its kernels left of it: where they left nothing there is
  /// nothing to add. `log_keys` [B, T] as log_visible_keys gives them. The same call may be added
  /// again (a layer that is computed again).
  void add_attention(std::size_t layer, const SavedAttention& saved, const torch::Tensor& log_keys);

  /// Log-sum-exps of the output logits of N tokens, of which those with a target count.
  void add_output_logits(const torch::Tensor& log_sum_exp, const torch::Tensor& targets);

  /// Of this rank: for each layer the sum of its output's squares, then that of the log-sum-exps of
  /// the output logits, [layers + 1] float64.
  torch::Tensor sums() const;

  /// Of this rank: for each layer the bounds of its largest attention logit, the lower and the
  /// upper one, then the largest log-sum-exp of the output logits; [2 layers + 1] float64, NaN
  /// where nothing was added.
  torch::Tensor maxima() const;

 private:
  torch::TensorOptions options_;
  std::vector<torch::Tensor> squares_;  // of each layer and of the output logits, float64 scalars
  std::vector<torch::Tensor> bounds_;   // of each layer [2], and of the output logits [1], float64
};

}  // namespace zebra
