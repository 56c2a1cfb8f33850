#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace zebra {

/// What two neighbouring tokens join to. Of several pairs the lowest rank joins first.
struct Merge {
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  std::uint32_t rank = kNone;  ///< kNone: they do not join
  std::int32_t token = 0;
};

/// The merges of a BPE tokenizer by pair. It is asked for every pair of every piece that is met for
/// the first time, so it is open addressing over one array.
class MergeTable {
 public:
  struct Pair {
    std::int32_t left, right, joined;
  };

  MergeTable() = default;

  /// Pairs in the order of merging; of equal ones the last counts, as in `tokenizers`.
  explicit MergeTable(std::span<const Pair> pairs);

  Merge find(std::int32_t left, std::int32_t right) const;

 private:
  struct Entry {
    std::uint64_t key = 0;
    Merge merge;
  };

  std::size_t slot_of(std::uint64_t key) const;

  std::vector<Entry> entries_;  // none, or a power of two of them, half empty at least
};

/// Appends the tokens that `tokens_of_bytes`, one for each byte of a piece, join to.
void append_merged(const MergeTable& merges, std::span<const std::int32_t> tokens_of_bytes,
                   std::vector<std::int32_t>& tokens);

}  // namespace zebra
