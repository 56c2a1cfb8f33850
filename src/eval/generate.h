#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "eval/sampling.h"
#include "model/zebra_model.h"

namespace zebra {

/// Why a text ends: a stop token or what was asked for (see TextListener), or its length.
enum class FinishReason { stop, length };
std::string name_of(FinishReason reason);

/// A text to continue.
struct TextToContinue {
  std::vector<std::int32_t> prompt;  ///< at least one token
  std::int64_t seed;                 ///< in the place of that of the options
};

/// Hears what becomes of texts, which are numbered as they were given.
struct TextListener {
  /// Of each new token at once, the stop token excluded; true ends the text with it.
  std::function<bool(std::size_t text, std::int32_t token)> on_token;
  std::function<void(std::size_t text, FinishReason reason)> on_end;
};

/// Continues `texts`, `rows` (at least 1) of them at a time; the next one begins, in their order,
/// in the row of one that has ended. Each text has a key-value cache of its own, which is bounded
/// by the window in local layers, and random numbers of its own.
///
/// Prompts are read one by one; what texts share are the products with weights for each new token,
/// which always have `rows` rows. No bit of a row depends on what is in the others. But a product
/// may round one row otherwise than another, so what becomes of a text depends by rounding on its
/// row, and thus on when texts before it end, and on `rows`.
void continue_texts(ZebraModel& model, const std::vector<TextToContinue>& texts, std::size_t rows,
                    const SamplingOptions& options, const TextListener& listener);

/// Continues one text. `on_token` hears of each new token at once. Returns the new tokens, the stop
/// token excluded.
std::vector<std::int32_t> generate(ZebraModel& model, const std::vector<std::int32_t>& prompt,
                                   const SamplingOptions& options,
                                   const std::function<void(std::int32_t)>& on_token = {});

}  // namespace zebra
