#pragma once

#include "../device.h"
#include "parameters.h"

namespace zebra::kernels::ampere {

/// A tile of rows of D bfloat16 in shared memory. The 16-byte chunks of a row are permuted by the
/// row's number so that neither eight rows of one chunk (ldmatrix) nor one row's chunks (copies)
/// meet in a bank: a row fills 128 bytes or a multiple (D = 64, 128), or an odd number of half
/// lines (D = 32, 96). Tiles are named by their offset in bytes from the start of shared memory, a
/// multiple of kAlignment.
template <int D>
struct SharedTile {
  static constexpr int kChunks = D / 8, kRowBytes = D * 2, kAlignment = 128;
  static constexpr int kPermuted = D % 64 == 0 ? 7 : 3;  // the bits of a chunk's number that change

  static constexpr ZEBRA_DEVICE int permutation(int row) {
    return D % 64 == 0 ? row & 7 : (row >> 1) & 3;
  }
  /// In bytes from the tile's start.
  static constexpr ZEBRA_DEVICE int offset(int row, int chunk) {
    return row * kRowBytes + ((chunk ^ permutation(row)) << 4);
  }
  static constexpr int bytes(int rows) { return rows * kRowBytes; }
};

/// The place of one thread.
struct Lane {
  int warp, lane;
  ZEBRA_DEVICE Lane() : warp(device::thread_index() / 32), lane(device::thread_index() % 32) {}

  /// Its row in the first half of a 16-row accumulator, and its first column in each 8-column one.
  ZEBRA_DEVICE int row() const { return lane / 4; }
  ZEBRA_DEVICE int column() const { return 2 * (lane % 4); }
};

/// The row that a lane names to ldmatrix for a 16 x 16 block of a tile. Two orders of its four 8 x
/// 8 matrices are needed: by rows first (a left operand, or a right one that is transposed), by
/// columns first (a right operand).
template <int D>
class BlockAddress {
 public:
  static ZEBRA_DEVICE BlockAddress rows_first(const Lane& lane) {
    return {lane.lane & 15, lane.lane >> 4};
  }
  static ZEBRA_DEVICE BlockAddress columns_first(const Lane& lane) {
    return {(lane.lane & 7) + ((lane.lane >> 4) << 3), (lane.lane >> 3) & 1};
  }

  /// `row` and `column` are the block's first, multiples of 16. The permutation is an exclusive or
  /// on the address, done last: few addresses are then worth a register from one tile to the next.
  ZEBRA_DEVICE const std::byte* in(int tile, int row, int column) const {
    constexpr int kPermuted = SharedTile<D>::kPermuted;
    const int chunk = column / 8;
    return device::shared_memory() + ((tile + offset_) ^ ((chunk & kPermuted) << 4)) +
           (chunk & ~kPermuted) * 16 + row * SharedTile<D>::kRowBytes;
  }

 private:
  ZEBRA_DEVICE BlockAddress(int row, int chunk) : offset_(SharedTile<D>::offset(row, chunk)) {}

  int offset_;
};

/// The share of one of kThreads threads in moving the rows of a tile: chunks `chunk`, `chunk` +
/// kLanes, ... of rows `row`, `row` + kRowStep, ... Neighbouring threads have neighbouring chunks:
/// each row goes in whole sectors of global memory.
template <int D, int kThreads>
struct RowShare {
  static constexpr int kLanes = D % 64 == 0 ? D / 8 : 4, kRowStep = kThreads / kLanes;
  static constexpr int kPasses = SharedTile<D>::kChunks / kLanes;
  int row, chunk;

  explicit ZEBRA_DEVICE RowShare(int thread) : row(thread / kLanes), chunk(thread % kLanes) {}

  /// This thread's first element of a matrix with `stride` elements from row to row.
  template <class Element>
  ZEBRA_DEVICE Element* in(Element* matrix, std::int64_t stride) const {
    return matrix + row * stride + chunk * 8;
  }

  /// Starts to copy kRows rows into a tile. `source` is in() of the first row; rows from `limit` on
  /// become zeros.
  template <int kRows>
  ZEBRA_DEVICE void copy(int tile, const std::uint16_t* source, std::int64_t stride,
                         int limit) const {
    static_assert(kRows % kRowStep == 0);
#pragma unroll
    for (int i = 0; i < kRows; i += kRowStep) {
#pragma unroll
      for (int pass = 0; pass < kPasses; ++pass) {
        device::copy_async(
            device::shared_memory() + tile + SharedTile<D>::offset(row + i, chunk + pass * kLanes),
            source + pass * kLanes * 8, row + i < limit);
      }
      source += kRowStep * stride;
    }
  }

  /// Writes the first `limit` of kRows rows of a tile. `target` is in() of the first row.
  template <int kRows>
  ZEBRA_DEVICE void store(int tile, std::uint16_t* target, std::int64_t stride, int limit) const {
    static_assert(kRows % kRowStep == 0);
#pragma unroll
    for (int i = 0; i < kRows; i += kRowStep) {
      if (row + i < limit) {
#pragma unroll
        for (int pass = 0; pass < kPasses; ++pass) {
          device::store_words(
              target + pass * kLanes * 8,
              device::load_words(device::shared_memory() + tile +
                                 SharedTile<D>::offset(row + i, chunk + pass * kLanes)));
        }
      }
      target += kRowStep * stride;
    }
  }
};

/// A block of kThreads copies or stores kRows rows of one head, from token `first` on, those below
/// `length`.
template <int D, int kRows, int kThreads>
ZEBRA_DEVICE void copy_rows(int tile, const InputRows& x, int batch, int head, int first,
                            int length) {
  const RowShare<D, kThreads> share(device::thread_index());
  share.template copy<kRows>(tile, share.in(x.at(batch, head, first), x.token_stride),
                             x.token_stride, length - first);
}
template <int D, int kRows, int kThreads>
ZEBRA_DEVICE void store_rows(int tile, const OutputRows& x, int batch, int head, int first,
                             int length) {
  const RowShare<D, kThreads> share(device::thread_index());
  share.template store<kRows>(tile, share.in(x.at(batch, head, first), x.token_stride),
                              x.token_stride, length - first);
}

}  // namespace zebra::kernels::ampere
