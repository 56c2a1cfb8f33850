#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/tokenizer.h"
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

/// The text that new tokens add to a prompt. They are decoded together with what stands before
/// them: alone, a tokenizer that puts a space in front of every text would lose their first one.
class GeneratedText {
 public:
  /// `tokenizer` must outlive this object.
  GeneratedText(const Tokenizer& tokenizer, std::vector<std::int32_t> prompt);

  /// What the token adds; an end within a character is held back until the character is complete.
  std::string add(std::int32_t token);

  /// What was held back.
  std::string finish();

 private:
  std::string take(const std::string& text);
  std::string recent_text() const;

  const Tokenizer& tokenizer_;
  std::vector<std::int32_t> tokens_;
  std::size_t begin_ = 0;  // of the tokens that are decoded: the whole prompt need not be
  std::size_t taken_ = 0;  // bytes of their text that were given out
};

}  // namespace zebra
