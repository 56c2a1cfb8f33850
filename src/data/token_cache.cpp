#include "data/token_cache.h"

namespace zebra {
namespace {

constexpr std::size_t kLongestCachedPart = 64;      // bytes
constexpr std::size_t kMostCachedParts = 1u << 16;  // some 10 MB

}  // namespace

void TokenCache::append_cached(Range range, std::vector<std::int32_t>& tokens) const {
  const auto cached = tokens_.cbegin();
  tokens.insert(tokens.end(), cached + static_cast<std::ptrdiff_t>(range.begin),
                cached + static_cast<std::ptrdiff_t>(range.end));
}

void TokenCache::remember(std::string_view part, const std::vector<std::int32_t>& tokens,
                          std::size_t begin) {
  if (part.size() > kLongestCachedPart) return;
  if (ranges_.size() == kMostCachedParts) {
    ranges_.clear();
    tokens_.clear();
  }
  const std::size_t cached = tokens_.size();
  tokens_.insert(tokens_.end(), tokens.begin() + static_cast<std::ptrdiff_t>(begin), tokens.end());
  ranges_.emplace(std::string(part), Range{cached, tokens_.size()});
}

}  // namespace zebra
