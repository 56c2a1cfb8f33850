#pragma once

#include <torch/types.h>

#include <cstdint>

#include "ops/attention_inputs.h"
#include "ops/attention_operator.h"

namespace zebra {

/// ln of how many logits the softmax of each token has, [B T] float32 in the order of the tokens:
/// the keys that it sees (itself and at most `window` earlier ones of its document), and a sink.
torch::Tensor log_visible_keys(std::int64_t batch, std::int64_t length, std::int64_t window,
                               bool has_sink, const PackedDocuments& documents,
                               torch::Device device);

/// Between which the largest logit (a scaled score, or a sink) of a call of attention lies. A
/// log-sum-exp over n logits is at least the largest of them, and at most that plus ln n, so the
/// bounds need no pass over scores: [2] float32 on the device, the lower one, then the upper one.
/// `result` is filled; `log_keys` is what log_visible_keys gives for the call.
torch::Tensor attention_logit_bounds(const AttentionResult& result, const torch::Tensor& log_keys);

}  // namespace zebra
