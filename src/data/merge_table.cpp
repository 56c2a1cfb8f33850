#include "data/merge_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <queue>
#include <tuple>

namespace zebra {
namespace {

constexpr std::uint64_t pair_key_of(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32U |
         static_cast<std::uint32_t>(right);
}

constexpr std::size_t kLongestShortPiece = 64;  // bytes

// A token of a piece and how it joins the next.
struct Part {
  std::int32_t token = 0;
  Merge with_next;
};

// For short pieces, as nearly all are: the parts in one array, searched for the lowest rank.
void append_merged_short(const MergeTable& merges, std::span<const std::int32_t> bytes,
                         std::vector<std::int32_t>& tokens) {
  std::array<Part, kLongestShortPiece> parts;
  std::size_t size = bytes.size();
  const auto look_up = [&](std::size_t i) {
    parts[i].with_next = i + 1 < size ? merges.find(parts[i].token, parts[i + 1].token) : Merge();
  };
  for (std::size_t i = 0; i < size; ++i) parts[i].token = bytes[i];
  for (std::size_t i = 0; i < size; ++i) look_up(i);
  while (size > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < size; ++i)
      if (parts[i].with_next.rank < parts[best].with_next.rank) best = i;
    if (parts[best].with_next.rank == Merge::kNone) break;
    parts[best].token = parts[best].with_next.token;
    std::copy(parts.begin() + static_cast<std::ptrdiff_t>(best) + 2,
              parts.begin() + static_cast<std::ptrdiff_t>(size),
              parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    --size;
    look_up(best);
    if (best > 0) look_up(best - 1);
  }
  for (std::size_t i = 0; i < size; ++i) tokens.push_back(parts[i].token);
}

// For long pieces: a list of parts, and a heap of the joins that may still be made.
class LongPiece {
 public:
  LongPiece(const MergeTable& merges, std::span<const std::int32_t> bytes)
      : merges_(merges), parts_(bytes.size()) {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      parts_[i] = {bytes[i], i == 0 ? kEnd : i - 1, i + 1 < parts_.size() ? i + 1 : kEnd};
    }
    for (std::size_t i = 0; i < parts_.size(); ++i) add_join(i);
  }

  void join_all() {
    while (!joins_.empty()) {
      const Join join = joins_.top();
      joins_.pop();
      if (is_current(join)) apply(join);
    }
  }

  void append_to(std::vector<std::int32_t>& tokens) const {
    for (std::size_t i = 0; i != kEnd; i = parts_[i].next) tokens.push_back(parts_[i].token);
  }

 private:
  static constexpr std::size_t kEnd = std::numeric_limits<std::size_t>::max();
  static constexpr std::int32_t kJoined = -1;  // the token of a part that is part of another

  struct LinkedPart {
    std::int32_t token = 0;
    std::size_t previous = 0, next = 0;
  };
  struct Join {
    std::uint32_t rank;
    std::size_t at;
    std::int32_t left, right, joined;

    // Of a heap the largest comes first: the lowest rank, of one rank the leftmost.
    bool operator<(const Join& other) const {
      return std::tie(other.rank, other.at) < std::tie(rank, at);
    }
  };

  void add_join(std::size_t at) {
    if (at == kEnd || parts_[at].next == kEnd) return;
    const std::int32_t left = parts_[at].token, right = parts_[parts_[at].next].token;
    const Merge merge = merges_.find(left, right);
    if (merge.rank != Merge::kNone) joins_.push({merge.rank, at, left, right, merge.token});
  }

  bool is_current(const Join& join) const {
    const auto& part = parts_[join.at];
    return part.token == join.left && part.next != kEnd && parts_[part.next].token == join.right;
  }

  void apply(const Join& join) {
    auto& part = parts_[join.at];
    auto& gone = parts_[part.next];
    part.token = join.joined;
    part.next = gone.next;
    gone.token = kJoined;
    if (part.next != kEnd) parts_[part.next].previous = join.at;
    add_join(join.at);
    add_join(part.previous);
  }

  const MergeTable& merges_;
  std::vector<LinkedPart> parts_;
  std::priority_queue<Join> joins_;
};

}  // namespace

MergeTable::MergeTable(std::span<const Pair> pairs)
    : entries_(std::bit_ceil(2 * pairs.size() + 1)) {
  std::uint32_t rank = 0;
  for (const Pair& pair : pairs) {
    const auto key = pair_key_of(pair.left, pair.right);
    entries_[slot_of(key)] = {key, {rank++, pair.joined}};
  }
}

// Where the key is, or the empty entry where it would be.
std::size_t MergeTable::slot_of(std::uint64_t key) const {
  const std::size_t mask = entries_.size() - 1;
  // Multiplying mixes towards the upper bits.
  std::size_t slot = (key * 0x9E3779B97F4A7C15U >> 32U) & mask;
  while (entries_[slot].merge.rank != Merge::kNone && entries_[slot].key != key)
    slot = (slot + 1) & mask;
  return slot;
}

Merge MergeTable::find(std::int32_t left, std::int32_t right) const {
  if (entries_.empty()) return {};
  return entries_[slot_of(pair_key_of(left, right))].merge;
}

void append_merged(const MergeTable& merges, std::span<const std::int32_t> tokens_of_bytes,
                   std::vector<std::int32_t>& tokens) {
  if (tokens_of_bytes.size() <= kLongestShortPiece) {
    append_merged_short(merges, tokens_of_bytes, tokens);
    return;
  }
  LongPiece piece(merges, tokens_of_bytes);
  piece.join_all();
  piece.append_to(tokens);
}

}  // namespace zebra
