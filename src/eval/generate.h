#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "model/zebra_model.h"

namespace zebra {

struct SamplingOptions {
  std::int64_t max_new_tokens = 128;
  double temperature = 0.8;  ///< 0: always the likeliest token
  double top_p = 0.95;       ///< sample from the fewest tokens whose probabilities reach this sum
  std::int64_t seed = 1;     ///< token i of the text is a function of (seed, i)
  std::int32_t stop_token = -1;
};

/// Continues `prompt` (at least one token) with a key-value cache that is bounded by the window in
/// local layers. `on_token` hears of each new token at once. Returns the new tokens, the stop token
/// excluded.
std::vector<std::int32_t> generate(ZebraModel& model, const std::vector<std::int32_t>& prompt,
                                   const SamplingOptions& options,
                                   const std::function<void(std::int32_t)>& on_token = {});

/// The token that sampling from float32 `logits` [V] with `uniform` in [0, 1) chooses. Throws
/// RunError where one of them is not finite.
std::int32_t sample_token(const torch::Tensor& logits, double temperature, double top_p,
                          double uniform);

}  // namespace zebra
