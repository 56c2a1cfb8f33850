#include "data/merge_table.h"

#include <limits>
#include <random>
#include <vector>

#include "support/catch.h"

using namespace zebra;

namespace {

using Ids = std::vector<std::int32_t>;

Ids merged(const MergeTable& merges, const Ids& bytes) {
  Ids tokens;
  append_merged(merges, bytes, tokens);
  return tokens;
}

// One join at a time: of the lowest rank, the leftmost.
Ids merged_slowly(const MergeTable& merges, Ids ids) {
  while (true) {
    std::size_t best = 0;
    std::uint32_t rank = Merge::kNone;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      if (const auto merge = merges.find(ids[i], ids[i + 1]); merge.rank < rank) {
        rank = merge.rank;
        best = i;
      }
    }
    if (rank == Merge::kNone) return ids;
    ids[best] = merges.find(ids[best], ids[best + 1]).token;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

}  // namespace

TEST_CASE("Pairs are found with their rank", "[data][tokenizer]") {
  const std::vector<MergeTable::Pair> pairs = {{1, 2, 10}, {2, 1, 11}, {10, 10, 12}, {1, 2, 13}};
  const MergeTable table(pairs);
  CHECK(table.find(1, 2).rank == 3);  // the later of two
  CHECK(table.find(1, 2).token == 13);
  CHECK(table.find(2, 1).rank == 1);
  CHECK(table.find(10, 10).token == 12);
  CHECK(table.find(3, 3).rank == Merge::kNone);
  CHECK(table.find(0, 0).rank == Merge::kNone);
  CHECK(MergeTable().find(1, 2).rank == Merge::kNone);
}

TEST_CASE("The lowest rank joins first, the leftmost of several", "[data][tokenizer]") {
  const std::vector<MergeTable::Pair> pairs = {{1, 1, 10}, {10, 1, 11}, {2, 10, 12}};
  const MergeTable table(pairs);
  CHECK(merged(table, {}).empty());
  CHECK(merged(table, {1}) == Ids{1});
  CHECK(merged(table, {1, 1, 1}) == Ids{11});
  CHECK(merged(table, {1, 1, 1, 1}) == Ids{10, 10});
  CHECK(merged(table, {2, 1, 1, 2}) == Ids{12, 2});
  CHECK(merged(table, {3, 2, 3}) == Ids{3, 2, 3});
}

TEST_CASE("Short and long pieces are merged alike", "[data][tokenizer]") {
  std::mt19937 random(1);
  for (int trial = 0; trial < 40; ++trial) {
    std::vector<MergeTable::Pair> pairs;
    for (std::int32_t made = 4; made < 60; ++made) {
      const auto any = [&] {
        return static_cast<std::int32_t>(random() % static_cast<unsigned>(made));
      };
      pairs.push_back({any(), any(), made});
    }
    const MergeTable table(pairs);
    for (const std::size_t size : {2u, 17u, 63u, 64u, 65u, 300u}) {
      Ids bytes(size);
      for (auto& byte : bytes) byte = static_cast<std::int32_t>(random() % 4);
      CHECK(merged(table, bytes) == merged_slowly(table, bytes));
    }
  }
}
