#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace zebra {

/// The tokens of short parts of text: most words of a text have been seen before. One for each
/// thread and tokenizer.
class TokenCache {
 public:
  /// Appends the tokens of `part` to `tokens`. They are what `encode(part, tokens)` appended when
  /// the part was met for the first time.
  template <class Encode>
  void append(std::string_view part, std::vector<std::int32_t>& tokens, const Encode& encode) {
    if (const auto known = ranges_.find(part); known != ranges_.end()) {
      append_cached(known->second, tokens);
      return;
    }
    const std::size_t begin = tokens.size();
    encode(part, tokens);
    remember(part, tokens, begin);
  }

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

  void append_cached(Range range, std::vector<std::int32_t>& tokens) const;
  void remember(std::string_view part, const std::vector<std::int32_t>& tokens, std::size_t begin);

  std::unordered_map<std::string, Range, Hash, std::equal_to<>> ranges_;  // of tokens_
  std::vector<std::int32_t> tokens_;
};

}  // namespace zebra
