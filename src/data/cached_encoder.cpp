#include "data/cached_encoder.h"

namespace zebra {
namespace {

constexpr std::size_t kLongestCachedPart = 64;      // bytes
constexpr std::size_t kMostCachedParts = 1u << 16;  // some 10 MB

}  // namespace

CachedEncoder::CachedEncoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

void CachedEncoder::encode(std::string_view text, std::vector<std::int32_t>& tokens) {
  while (!text.empty()) {
    const std::size_t length = tokenizer_.words_are_independent()   ? first_word(text)
                               : tokenizer_.lines_are_independent() ? first_line(text)
                                                                    : text.size();
    encode_part(text.substr(0, length), tokens);
    text.remove_prefix(length);
  }
}

void CachedEncoder::encode_part(std::string_view part, std::vector<std::int32_t>& tokens) {
  if (const auto known = cache_.find(part); known != cache_.end()) {
    const auto cached = cached_tokens_.cbegin();
    tokens.insert(tokens.end(), cached + static_cast<std::ptrdiff_t>(known->second.begin),
                  cached + static_cast<std::ptrdiff_t>(known->second.end));
    return;
  }
  const auto encoded = tokenizer_.encode(part);
  tokens.insert(tokens.end(), encoded.begin(), encoded.end());
  if (part.size() > kLongestCachedPart) return;
  if (cache_.size() == kMostCachedParts) {
    cache_.clear();
    cached_tokens_.clear();
  }
  const std::size_t begin = cached_tokens_.size();
  cached_tokens_.insert(cached_tokens_.end(), encoded.begin(), encoded.end());
  cache_.emplace(std::string(part), Range{begin, cached_tokens_.size()});
}

}  // namespace zebra
