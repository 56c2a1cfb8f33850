#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>

namespace zebra {

/// How a text is continued: its length, and how each token is chosen. In this order: repetition
/// penalty, temperature, top_k, top_p.
struct SamplingOptions {
  std::int64_t max_new_tokens = 128;  ///< at least 1
  double temperature = 0.8;           ///< 0: always the likeliest token
  std::int64_t top_k = 0;             ///< sample from so many of the likeliest tokens; 0: from all
  /// Of these sample from the fewest whose probabilities reach this share of the sum.
  double top_p = 0.95;
  /// By which the logit of every token that the text holds, its prompt included, is divided where
  /// it is positive, and multiplied where it is negative (Keskar et al., arXiv 1909.05858). Above
  /// 0.
  double repetition_penalty = 1.0;
  std::int64_t seed = 1;  ///< token i of a text is a function of (seed, i) and what is before it
  std::int32_t stop_token = -1;
};

/// The token that sampling from float32 `logits` [V] with `uniform` in [0, 1) chooses behind
/// `text`. Throws RunError where a logit is not finite.
std::int32_t sample_token(const torch::Tensor& logits, const SamplingOptions& options,
                          double uniform, std::span<const std::int32_t> text = {});

}  // namespace zebra
