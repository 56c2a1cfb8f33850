#pragma once

#include "configuration.h"
#include "visibility.h"

namespace zebra::kernels::ampere {

/// The first row of this block. Blocks with the most keys start first.
template <class Shape>
ZEBRA_DEVICE int block_row(const Extent& extent) {
  const int tiles = (extent.length + Shape::kRows - 1) / Shape::kRows;
  return (tiles - 1 - device::block_index_x()) * Shape::kRows;
}

struct KeyTile {
  int keys, values;
  int first;  // the token of its first row
};

/// Keys and values of a run of tiles on their way through shared memory: Shape::kStages - 1 tiles
/// are under way while one is in use. Each tile is one group of asynchronous copies.
template <int D, class Shape>
class KeyRing {
 public:
  static constexpr int kTileBytes = SharedTile<D>::bytes(Shape::kColumns);
  static constexpr int kBytes = Shape::kStages * 2 * kTileBytes;

  /// Starts the first copies.
  ZEBRA_DEVICE KeyRing(int shared, const Prepared& prepared, const InputRows& v,
                       const Extent& extent, int batch, int key_head, const TileRange& tiles)
      : shared_(shared),
        share_(device::thread_index()),
        value_stride_(v.token_stride),
        fetched_(tiles.begin),
        end_(tiles.end),
        length_(extent.length) {
    keys_ = share_.in(prepared.key_rows<D>(extent, batch, key_head, tiles.begin), D);
    values_ = share_.in(v.at(batch, key_head, tiles.begin), value_stride_);
#pragma unroll
    for (int stage = 0; stage < Shape::kStages - 1; ++stage) fetch(stage);
  }

  ZEBRA_DEVICE bool has_next() const {
    return fetched_ - (Shape::kStages - 1) * Shape::kColumns < end_;
  }

  /// Waits for the next tile, which stays until the call after this.
  ZEBRA_DEVICE KeyTile next() {
    device::wait_copies<Shape::kStages - 2>();
    device::block_barrier();  // the tile is whole, and nobody reads the stage that is filled now
    fetch(stage_ == 0 ? Shape::kStages - 1 : stage_ - 1);
    const int tile = shared_ + stage_ * 2 * kTileBytes;
    stage_ = stage_ == Shape::kStages - 1 ? 0 : stage_ + 1;
    return {tile, tile + kTileBytes, fetched_ - Shape::kStages * Shape::kColumns};
  }

 private:
  ZEBRA_DEVICE void fetch(int stage) {
    if (fetched_ < end_) {
      const int tile = shared_ + stage * 2 * kTileBytes;
      // Prepared keys are padded: no limit.
      share_.template copy<Shape::kColumns>(tile, keys_, D, Shape::kColumns);
      share_.template copy<Shape::kColumns>(tile + kTileBytes, values_, value_stride_,
                                            length_ - fetched_);
      keys_ += Shape::kColumns * D;
      values_ += Shape::kColumns * value_stride_;
    }
    fetched_ += Shape::kColumns;
    device::commit_copies();  // an empty group too: waits count groups
  }

  int shared_, stage_ = 0;  // stage_: of the next tile
  RowShare<D, Shape::kThreads> share_;
  const std::uint16_t *keys_, *values_;  // of the tile that is fetched next
  std::int64_t value_stride_;
  int fetched_, end_, length_;
};

/// What the rows of a warp see.
template <int kRowTiles>
class QueryVisibility {
 public:
  ZEBRA_DEVICE QueryVisibility(const Prepared& prepared, const Extent& extent, int batch,
                               int warp_first, const Lane& lane)
      : warp_first_(warp_first),
        first_key_(prepared.first_key + extent.padded_row(batch) + warp_first + lane.row()) {
    smallest_ = first_key_[0];
#pragma unroll
    for (int row = 8; row < 16 * kRowTiles; row += 8)
      smallest_ = smaller(smallest_, first_key_[row]);
#pragma unroll
    for (int mask = 4; mask < 32; mask *= 2)
      smallest_ = smaller(smallest_, device::shuffle_xor(smallest_, mask));
  }

  /// The 16-column groups of the tile from key `first` on that any row of the warp sees.
  template <int kGroups>
  ZEBRA_DEVICE VisibleGroups groups(int first) const {
    return {larger(smallest_ - first, 0) / 16,
            smaller((warp_first_ + 16 * kRowTiles - 1 - first + 16) >> 4, kGroups)};
  }

  /// Sets invisible elements of the groups to `value`.
  template <int kGroups, class Groups>
  ZEBRA_DEVICE void mask(float (&s)[kRowTiles][2 * kGroups][4], int first, float value,
                         const Lane& lane, const Groups& groups) const {
    if constexpr (Groups::kMasked) {
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int row = 16 * m + 8 * half, query = warp_first_ + row + lane.row();
          const int first_key = first_key_[row];
#pragma unroll
          for (int n = 0; n < 2 * kGroups; ++n) {
            if (!groups.contains(n / 2)) continue;
#pragma unroll
            for (int j = 0; j < 2; ++j) {
              const int key = first + 8 * n + lane.column() + j;
              if (key < first_key || key > query) s[m][n][2 * half + j] = value;
            }
          }
        }
    }
  }

 private:
  int warp_first_, smallest_;
  const int* first_key_;  // of the thread's first row; read again for every mask: it has no
                          // register to spare
};

/// The left operand where it is wanted.
template <bool kInRegisters, int D, int kRowTiles>
ZEBRA_DEVICE auto left_operand(const RegisterOperand<D, kRowTiles>& fragments, int warp_tile,
                               const BlockAddress<D>& rows_first) {
  if constexpr (kInRegisters) {
    return fragments;
  } else {
    return SharedOperand<D, kRowTiles>{warp_tile, rows_first};
  }
}

}  // namespace zebra::kernels::ampere
