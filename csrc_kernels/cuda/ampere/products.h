#pragma once

#include "shared_tile.h"

// Matrix products of a warp on register fragments and shared tiles. A warp owns kRowTiles x 16 rows
// of the left operand; the columns of a score tile go in groups of 16.

namespace zebra::kernels::ampere {

/// Rows kRowTiles x 16, columns 8 kColumns8, in the accumulator layout of device.h.
template <int kRowTiles, int kColumns8>
using Accumulator = float[kRowTiles][kColumns8][4];
/// Left operands 16 x 16 each.
template <int kRowTiles, int kBlocks>
using LeftFragments = std::uint32_t[kRowTiles][kBlocks][4];

template <int kRowTiles, int kColumns8>
ZEBRA_DEVICE void set_zero(float (&c)[kRowTiles][kColumns8][4]) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
    for (int n = 0; n < kColumns8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) c[m][n][i] = 0.0F;
}

/// The 16-column groups of a score tile that a warp works on: all, or those that its rows can see.
struct AllGroups {
  static constexpr bool kMasked = false;
  static constexpr ZEBRA_DEVICE bool contains(int) { return true; }
};
struct VisibleGroups {
  static constexpr bool kMasked = true;
  int begin, end;
  ZEBRA_DEVICE bool contains(int group) const { return begin <= group && group < end; }
};

/// A left operand that stays in registers, or is read from a shared tile block by block.
template <int D, int kRowTiles>
struct RegisterOperand {
  LeftFragments<kRowTiles, D / 16> fragments;

  ZEBRA_DEVICE void get(std::uint32_t (&a)[4], int m, int k) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) a[i] = fragments[m][k][i];
  }
};
template <int D, int kRowTiles>
struct SharedOperand {
  int tile;  // at the warp's first row
  BlockAddress<D> address;

  ZEBRA_DEVICE void get(std::uint32_t (&a)[4], int m, int k) const {
    device::load_matrices(a, address.in(tile, 16 * m, 16 * k));
  }
};

/// c = left [rows, D] x right^T, right a tile [16 kGroups, D].
template <int D, int kRowTiles, int kGroups, class Left, class Groups>
ZEBRA_DEVICE void multiply_transposed(float (&c)[kRowTiles][2 * kGroups][4], const Left& left,
                                      int right, const BlockAddress<D>& columns_first,
                                      const Groups& groups) {
  set_zero(c);
#pragma unroll
  for (int k = 0; k < D / 16; ++k) {
    std::uint32_t a[kRowTiles][4];
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) left.get(a[m], m, k);
#pragma unroll
    for (int n = 0; n < kGroups; ++n) {
      if (!groups.contains(n)) continue;
      std::uint32_t b[4];
      device::load_matrices(b, columns_first.in(right, 16 * n, 16 * k));
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        device::multiply_add(c[m][2 * n], a[m], b[0], b[1]);
        device::multiply_add(c[m][2 * n + 1], a[m], b[2], b[3]);
      }
    }
  }
}

/// c [rows, D] += left [rows, 16 kGroups] x right, right a tile [16 kGroups, D]. The left operand
/// is a score tile, rounded to bfloat16: two neighbouring accumulators hold what one left fragment
/// wants.
template <int D, int kRowTiles, int kGroups, class Groups>
ZEBRA_DEVICE void multiply_accumulate(float (&c)[kRowTiles][D / 8][4],
                                      const float (&left)[kRowTiles][2 * kGroups][4], int right,
                                      const BlockAddress<D>& rows_first, const Groups& groups) {
#pragma unroll
  for (int k = 0; k < kGroups; ++k) {
    if (!groups.contains(k)) continue;
    std::uint32_t a[kRowTiles][4];
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* pair = &left[m][2 * k + i / 2][2 * (i % 2)];
        a[m][i] = device::pack_bfloat16(pair[0], pair[1]);
      }
#pragma unroll
    for (int n = 0; n < D / 16; ++n) {
      std::uint32_t b[4];
      device::load_matrices_transposed(b, rows_first.in(right, 16 * k, 16 * n));
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        device::multiply_add(c[m][2 * n], a[m], b[0], b[1]);
        device::multiply_add(c[m][2 * n + 1], a[m], b[2], b[3]);
      }
    }
  }
}

}  // namespace zebra::kernels::ampere
