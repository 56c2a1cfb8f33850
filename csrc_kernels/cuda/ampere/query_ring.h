#pragma once

#include "configuration.h"
#include "visibility.h"

namespace zebra::kernels::ampere {

struct QueryTile {
  int queries, d_out;
  const QueryStatistics* statistics;
  const int* first_key;
  int first;  // the token of its first row
};

/// Queries, output gradients and what belongs to them, of a run of tiles, once for each query head
/// of a group, on their way through shared memory. Works as KeyRing does.
template <int D, class Shape>
class QueryRing {
 public:
  static constexpr int kTileBytes = SharedTile<D>::bytes(Shape::kColumns);
  static constexpr int kStatisticsBytes =
      Shape::kColumns * static_cast<int>(sizeof(QueryStatistics));
  static constexpr int kStageBytes =
      (2 * kTileBytes + kStatisticsBytes + Shape::kColumns * static_cast<int>(sizeof(int)) +
       SharedTile<D>::kAlignment - 1) /
      SharedTile<D>::kAlignment * SharedTile<D>::kAlignment;
  static constexpr int kBytes = Shape::kStages * kStageBytes;

  /// Starts the first copies.
  ZEBRA_DEVICE QueryRing(int shared, const KeyValueGradientParameters& p, int batch, int key_head,
                         const TileRange& tiles)
      : p_(p),
        shared_(shared),
        share_(device::thread_index()),
        batch_(batch),
        head_(key_head * p.extent.group),
        begin_(tiles.begin),
        end_(tiles.end),
        next_(tiles.begin),
        remaining_((tiles.end - tiles.begin) / Shape::kColumns * p.extent.group) {
    start_head();
#pragma unroll
    for (int stage = 0; stage < Shape::kStages - 1; ++stage) fetch(stage, stage < remaining_);
  }

  ZEBRA_DEVICE bool has_next() const { return remaining_ > 0; }

  /// Waits for the next tile, which stays until the call after this.
  ZEBRA_DEVICE QueryTile next() {
    device::wait_copies<Shape::kStages - 2>();
    device::block_barrier();  // the tile is whole, and nobody reads the stage that is filled now
    fetch(stage_ == 0 ? Shape::kStages - 1 : stage_ - 1, remaining_ >= Shape::kStages);
    const int tile = shared_ + stage_ * kStageBytes;
    const std::byte* const rest = device::shared_memory() + tile + 2 * kTileBytes;
    const QueryTile result = {tile, tile + kTileBytes,
                              reinterpret_cast<const QueryStatistics*>(rest),
                              reinterpret_cast<const int*>(rest + kStatisticsBytes), next_};
    stage_ = stage_ == Shape::kStages - 1 ? 0 : stage_ + 1;
    next_ = next_ + Shape::kColumns == end_ ? begin_ : next_ + Shape::kColumns;
    --remaining_;
    return result;
  }

 private:
  ZEBRA_DEVICE void start_head() {
    fetched_ = begin_;
    queries_ = share_.in(p_.prepared_queries.query_rows<D>(p_.extent, batch_, head_, begin_), D);
    d_out_ = share_.in(p_.d_out.at(batch_, head_, begin_), p_.d_out.token_stride);
  }

  ZEBRA_DEVICE void fetch(int stage, bool exists) {
    if (exists) {
      copy_tile(shared_ + stage * kStageBytes, fetched_);
      queries_ += Shape::kColumns * D;
      d_out_ += Shape::kColumns * p_.d_out.token_stride;
      fetched_ += Shape::kColumns;
      if (fetched_ == end_) {
        ++head_;
        start_head();
      }
    }
    device::commit_copies();  // an empty group too: waits count groups
  }

  ZEBRA_DEVICE void copy_tile(int stage, int first) const {
    const Extent& extent = p_.extent;
    // Prepared queries are padded: no limit.
    share_.template copy<Shape::kColumns>(stage, queries_, D, Shape::kColumns);
    share_.template copy<Shape::kColumns>(stage + kTileBytes, d_out_, p_.d_out.token_stride,
                                          extent.length - first);
    constexpr int kStatisticsChunks = kStatisticsBytes / 16, kFirstKeyChunks = Shape::kColumns / 4;
    static_assert(kStatisticsChunks + kFirstKeyChunks <= Shape::kThreads);
    const int thread = device::thread_index();
    std::byte* const target = device::shared_memory() + stage + 2 * kTileBytes + 16 * thread;
    if (thread < kStatisticsChunks) {
      const QueryStatistics* source =
          p_.prepared_queries.statistics_of(extent, batch_, head_, first);
      device::copy_async(target, source + 2 * thread, true);
    } else if (thread < kStatisticsChunks + kFirstKeyChunks) {
      const int* source = p_.prepared.first_key + extent.padded_row(batch_) + first;
      device::copy_async(target, source + 4 * (thread - kStatisticsChunks), true);
    }
  }

  const KeyValueGradientParameters& p_;
  int shared_, stage_ = 0;  // stage_: of the next tile
  RowShare<D, Shape::kThreads> share_;
  const std::uint16_t *queries_, *d_out_;  // of the tile that is fetched next
  int batch_, head_;                       // head_: the query head that is fetched next
  int begin_, end_, fetched_, next_, remaining_;
};

/// The 16-column groups of a query tile that any key of the warp is seen from, as the window has
/// it.
template <class Shape>
ZEBRA_DEVICE VisibleGroups visible_groups(int first_query, int warp_first, const Extent& extent) {
  const int last_query = warp_first + Shape::kWarpRows - 1 + extent.window;
  return {larger(warp_first - first_query, 0) / 16,
          smaller((last_query - first_query + 16) >> 4, Shape::kGroups)};
}

}  // namespace zebra::kernels::ampere
