#pragma once

#include <cstdint>
#include <vector>

#include "data/token_dataset.h"

namespace zebra {

/// Enough that a rate of one in a million rests on twenty occurrences.
inline constexpr std::int64_t kBigramTokens = 20'000'000;

/// A pair of adjacent tokens counts as rare up to this rate.
inline constexpr double kRareBigramRate = 1e-6;

/// How often one token follows another in the same document of some datasets; those of which only
/// labels count, probes, are no text and left out. Const member functions are thread-safe. Takes 8
/// bytes for each pair counted.
class BigramCounts {
 public:
  /// Counts the pairs that begin at up to `max_tokens` positions. Where there are more tokens,
  /// each dataset gives in proportion to its length, in stretches at even intervals.
  /// Throws InputError like TokenDataset::copy_tokens.
  explicit BigramCounts(const TokenDatasets& datasets, std::int64_t max_tokens = kBigramTokens);

  /// All that were counted; a document of n tokens has n - 1.
  std::int64_t pairs() const { return std::ssize(pairs_); }

  std::int64_t count(std::int32_t first, std::int32_t second) const;

  /// Share of all pairs; 0 when none were counted.
  double rate(std::int32_t first, std::int32_t second) const;

  /// At most one in each million pairs counted, rounded down: among fewer than a million pairs a
  /// rare one never occurs, because a single occurrence there shows a larger rate.
  bool is_rare(std::int32_t first, std::int32_t second) const {
    return rate(first, second) <= kRareBigramRate;
  }

 private:
  void add_stretch(const TokenDataset& dataset, std::int64_t begin, std::int64_t end);

  std::vector<std::uint64_t> pairs_;  // both ids of each, in ascending order
};

}  // namespace zebra
