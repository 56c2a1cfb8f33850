#pragma once

#include <torch/types.h>

#include <cstdint>

#include "ops/attention_inputs.h"

namespace zebra {

/// ln of how many logits the softmax of each token has, [B, T] float32: the keys that it sees
/// (itself and at most `window` earlier ones of its document), and a sink. `positions` [B, T] of
/// the tokens in their whole sequences, int64.
torch::Tensor log_visible_keys(const torch::Tensor& positions, std::int64_t window, bool has_sink,
                               const PackedDocuments& documents);

/// Between which the largest logit (a scaled score, or a sink) of a call of attention lies. A
/// log-sum-exp over n logits is at least the largest of them, and at most that plus ln n, so the
/// bounds need no pass over scores: [2] float32 on the device, the lower one, then the upper one.
/// `log_sum_exp` as its kernel lays it out (AttentionResult); `log_keys`, of what log_visible_keys
/// gives, the same tokens in the same order.
torch::Tensor attention_logit_bounds(const torch::Tensor& log_sum_exp,
                                     const torch::Tensor& log_keys);

}  // namespace zebra
