#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer.h"

namespace zebra {

/// Encodes text with the tokens of Tokenizer::encode, but in parts (words or lines, where the
/// tokenizer treats them independently of what stands around them), and remembers the tokens of
/// short parts: most words of a text have been seen before. Beside U+2581 within the text, which
/// means a space to the tokenizer, tokens can differ. One for each thread.
class CachedEncoder {
 public:
  /// `tokenizer` must outlive the encoder.
  explicit CachedEncoder(const Tokenizer& tokenizer);

  /// Appends the tokens of `text` to `tokens`.
  void encode(std::string_view text, std::vector<std::int32_t>& tokens);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  struct Range {
    std::size_t begin, end;
  };

  void encode_part(std::string_view part, std::vector<std::int32_t>& tokens);

  const Tokenizer& tokenizer_;
  std::unordered_map<std::string, Range, Hash, std::equal_to<>> cache_;  // ranges of cached_tokens_
  std::vector<std::int32_t> cached_tokens_;
};

}  // namespace zebra
