#include "data/bigram_counts.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

namespace zebra {
namespace {

constexpr std::size_t kFirstSlots = 1024;

// Stretches of one dataset that is too long to be counted whole: many texts are sampled, while few
// chunks of a large file need to be read and verified.
constexpr std::int64_t kStretches = 32;

// Tokens that are copied at a time.
constexpr std::int64_t kBlockTokens = 4096;

std::uint64_t scramble(std::int32_t first, std::int32_t second) {
  constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15;  // 2^64 divided by the golden ratio
  std::uint64_t key =
      std::uint64_t{static_cast<std::uint32_t>(first)} << 32 | static_cast<std::uint32_t>(second);
  key *= kOdd;
  key ^= key >> 32;
  return key * kOdd;
}

}  // namespace

BigramCounts::BigramCounts(const TokenDatasets& datasets, std::int64_t max_tokens)
    : slots_(kFirstSlots) {
  max_tokens = std::min<std::int64_t>(max_tokens, std::numeric_limits<std::uint32_t>::max());
  double total = 0;
  for (const auto& dataset : datasets) total += static_cast<double>(dataset->tokens());
  const double share = std::min(1.0, static_cast<double>(max_tokens) / total);
  for (const auto& dataset : datasets) {
    const auto tokens = dataset->tokens();
    const auto counted = static_cast<std::int64_t>(share * static_cast<double>(tokens));
    for (std::int64_t i = 0; i < kStretches; ++i) {
      const auto begin = i * tokens / kStretches;
      const auto length = (i + 1) * counted / kStretches - i * counted / kStretches;
      count_stretch(*dataset, begin, begin + length);
    }
  }
}

void BigramCounts::count_stretch(const TokenDataset& dataset, std::int64_t begin,
                                 std::int64_t end) {
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
        add(tokens[i], tokens[i + 1]);
      }
    }
    begin += length;
  }
}

void BigramCounts::add(std::int32_t first, std::int32_t second) {
  ++pairs_;
  auto& slot = slots_[slot_of(first, second)];
  if (slot.count > 0) {
    ++slot.count;
    return;
  }
  slot = {first, second, 1};
  if (++used_slots_ * 3 > slots_.size() * 2) double_slots();
}

std::size_t BigramCounts::slot_of(std::int32_t first, std::int32_t second) const {
  const int bits = std::countr_zero(slots_.size());
  std::size_t index = scramble(first, second) >> (64 - bits);
  while (slots_[index].count > 0 &&
         (slots_[index].first != first || slots_[index].second != second)) {
    index = (index + 1) & (slots_.size() - 1);
  }
  return index;
}

void BigramCounts::double_slots() {
  const auto old = std::exchange(slots_, std::vector<Slot>(2 * slots_.size()));
  for (const auto& slot : old) {
    if (slot.count > 0) slots_[slot_of(slot.first, slot.second)] = slot;
  }
}

std::int64_t BigramCounts::count(std::int32_t first, std::int32_t second) const {
  return slots_[slot_of(first, second)].count;
}

double BigramCounts::rate(std::int32_t first, std::int32_t second) const {
  if (pairs_ == 0) return 0.0;
  return static_cast<double>(count(first, second)) / static_cast<double>(pairs_);
}

}  // namespace zebra
