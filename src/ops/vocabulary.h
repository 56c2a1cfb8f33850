#pragma once

#include <torch/types.h>

#include <cstdint>

// The two ends of a model, where weights have a row for each token of the vocabulary.

namespace zebra {

/// Rows of `weight` [V, d] for `tokens` [B, T] (int64): [B, T, d]. Differentiable in `weight`; the
/// gradients of a token that occurs often are added in float32 whatever the weight's type, because
/// a bf16 sum stops growing after a few hundred terms.
torch::Tensor token_embedding(const torch::Tensor& tokens, const torch::Tensor& weight);

/// A target of this value does not count.
inline constexpr std::int64_t kIgnoredTarget = -100;

/// Sum over the counted targets of the next-token cross-entropy, plus `z_loss` times the sum of
/// squared log-sum-exps (PaLM, arXiv 2204.02311): a float32 scalar, in nats, not divided by the
/// number of targets. With weights each target's terms are multiplied by its own.
struct CrossEntropySum {
  torch::Tensor objective;      ///< cross-entropy + z-loss; what backward() starts from
  torch::Tensor cross_entropy;  ///< cross-entropy alone, no gradient
  torch::Tensor log_sum_exp;    ///< of each token's logits, [N] float32, no gradient
};

/// hidden [N, d], weight [V, d], targets [N] (int64, kIgnoredTarget where none), target_weights [N]
/// float32 (undefined: all 1; without a gradient of their own). Logits are hidden x weight^T in the
/// inputs' type (in float32 where bfloat16 products are widened: ops/linear.h); softmax and loss
/// are in float32. They exist for one chunk of tokens at a time only: the gradients of hidden and
/// weight are formed in the forward pass and scaled in the backward pass. Differentiable in hidden
/// and weight.
CrossEntropySum linear_cross_entropy(const torch::Tensor& hidden, const torch::Tensor& weight,
                                     const torch::Tensor& targets, double z_loss = 0.0,
                                     const torch::Tensor& target_weights = {});

/// Tokens of a chunk.
std::int64_t loss_chunk_tokens(std::int64_t vocabulary, bool on_cpu);

/// Cross-entropy of each target, [N] float32, 0 where ignored. No gradient; chunked in the same
/// way.
torch::Tensor token_cross_entropy(const torch::Tensor& hidden, const torch::Tensor& weight,
                                  const torch::Tensor& targets);

}  // namespace zebra
