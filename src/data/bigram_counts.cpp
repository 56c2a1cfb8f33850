#include "data/bigram_counts.h"

#include <algorithm>
#include <ranges>

namespace zebra {
namespace {

// Stretches of one dataset that is too long to be counted whole: many texts are sampled, while few
// chunks of a large file need to be read and verified.
constexpr std::int64_t kStretches = 32;

// Tokens that are copied at a time.
constexpr std::int64_t kBlockTokens = 4096;

std::uint64_t as_key(std::int32_t first, std::int32_t second) {
  return std::uint64_t{static_cast<std::uint32_t>(first)} << 32 |
         static_cast<std::uint32_t>(second);
}

}  // namespace

BigramCounts::BigramCounts(const TokenDatasets& datasets, std::int64_t max_tokens) {
  const auto is_text = [](const auto& dataset) { return !dataset->has_labels_only(); };
  double total = 0;
  for (const auto& dataset : datasets | std::views::filter(is_text))
    total += static_cast<double>(dataset->tokens());
  const double share = std::min(1.0, static_cast<double>(max_tokens) / total);
  for (const auto& dataset : datasets | std::views::filter(is_text)) {
    const auto tokens = dataset->tokens();
    const auto counted = static_cast<std::int64_t>(share * static_cast<double>(tokens));
    for (std::int64_t i = 0; i < kStretches; ++i) {
      const auto begin = i * tokens / kStretches;
      const auto length = (i + 1) * counted / kStretches - i * counted / kStretches;
      add_stretch(*dataset, begin, begin + length);
    }
  }
  std::ranges::sort(pairs_);
}

void BigramCounts::add_stretch(const TokenDataset& dataset, std::int64_t begin, std::int64_t end) {
  end = std::min(end, dataset.tokens() - 1);
  std::vector<std::int32_t> tokens;
  while (begin < end) {
    const auto length = std::min(kBlockTokens, end - begin);
    tokens.resize(static_cast<std::size_t>(length + 1));
    dataset.copy_tokens(begin, tokens);
    const auto starts = dataset.document_starts(begin, begin + length + 1);
    auto start = starts.begin();
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
      const bool crosses =
          start != starts.end() && *start == begin + static_cast<std::int64_t>(i) + 1;
      if (crosses) {
        ++start;
      } else {
        pairs_.push_back(as_key(tokens[i], tokens[i + 1]));
      }
    }
    begin += length;
  }
}

std::int64_t BigramCounts::count(std::int32_t first, std::int32_t second) const {
  return std::ssize(std::ranges::equal_range(pairs_, as_key(first, second)));
}

double BigramCounts::rate(std::int32_t first, std::int32_t second) const {
  if (pairs_.empty()) return 0.0;
  return static_cast<double>(count(first, second)) / static_cast<double>(pairs());
}

}  // namespace zebra
