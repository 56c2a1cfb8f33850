#pragma once

#include <cmath>

#include "../exponential.h"
#include "key_ring.h"
#include "rotation.h"

namespace zebra::kernels::ampere {

/// The running softmax of a thread's rows: the first and second half of each row tile.
template <int kRowTiles>
struct RowSums {
  float largest[kRowTiles][2];  // of the unscaled scores
  float sum[kRowTiles][2];      // of exp2(scale (score - largest)), of this lane's columns
};

/// Turns scores into weights relative to the rows' new largest score, and brings sums and outputs
/// there.
template <int D, int kRowTiles, int kGroups, class Groups>
ZEBRA_DEVICE void update_softmax(float (&s)[kRowTiles][2 * kGroups][4], RowSums<kRowTiles>& rows,
                                 float (&out)[kRowTiles][D / 8][4], float log2_scale,
                                 const Groups& groups) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float largest = rows.largest[m][half];
#pragma unroll
      for (int n = 0; n < 2 * kGroups; ++n) {
        if (!groups.contains(n / 2)) continue;
        largest = fmaxf(largest, fmaxf(s[m][n][2 * half], s[m][n][2 * half + 1]));
      }
      largest = fmaxf(largest, device::shuffle_xor(largest, 1));
      largest = fmaxf(largest, device::shuffle_xor(largest, 2));
      // A row may have seen no key yet: its weights must be 0, not exp2(inf - inf).
      const float offset = largest == -INFINITY ? 0.0F : largest * log2_scale;
      const float correction = device::exp2(rows.largest[m][half] * log2_scale - offset);
      float sum = 0.0F;
#pragma unroll
      for (int n = 0; n < 2 * kGroups; ++n) {
        if (!groups.contains(n / 2)) continue;
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          s[m][n][i] = device::exp2(s[m][n][i] * log2_scale - offset);
          sum += s[m][n][i];
        }
      }
      rows.largest[m][half] = largest;
      rows.sum[m][half] = rows.sum[m][half] * correction + sum;
#pragma unroll
      for (int n = 0; n < D / 8; ++n) {
        out[m][n][2 * half] *= correction;
        out[m][n][2 * half + 1] *= correction;
      }
    }
}

/// Attention of one tile of queries of one head. Grid: x tiles, y query heads, z sequences.
template <int D>
ZEBRA_KERNEL(ForwardShape<D>::kThreads, ForwardShape<D>::kBlocks)
forward_kernel(ZEBRA_PARAMETER ForwardParameters p) {
  using Shape = ForwardShape<D>;
  constexpr int kRowTiles = Shape::kRowTiles, kGroups = Shape::kGroups;
  const Extent& extent = p.extent;
  const Lane lane;
  const int first = block_row<Shape>(extent), head = device::block_index_y(),
            batch = device::block_index_z();
  const int warp_first = first + lane.warp * Shape::kWarpRows;
  const int warp_tile = SharedTile<D>::bytes(lane.warp * Shape::kWarpRows);

  copy_rows<D, Shape::kRows, Shape::kThreads>(0, p.q, batch, head, first, extent.length);
  device::commit_copies();
  const TileRange tiles = key_tiles<Shape::kRows, Shape::kColumns>(
      bounds_of<Shape::kRows>(p.prepared, extent, batch, first), extent, first);
  KeyRing<D, Shape> ring(SharedTile<D>::bytes(Shape::kRows), p.prepared, p.v, extent, batch,
                         head / extent.group, tiles);

  const auto rows_first = BlockAddress<D>::rows_first(lane);
  const auto columns_first = BlockAddress<D>::columns_first(lane);
  device::wait_copies<Shape::kStages - 1>();
  device::block_barrier();
  RegisterOperand<D, kRowTiles> queries;
  get_fragments<D, kRowTiles>(queries.fragments, warp_tile, rows_first);
  rotate<D, kRowTiles>(queries.fragments, p.rotary, batch, warp_first, extent.length, lane);
  if constexpr (!Shape::kFirstInRegisters) {
    device::warp_barrier();
    put_fragments<D, kRowTiles>(warp_tile, queries.fragments, lane);
    device::warp_barrier();
  }
  const auto left = left_operand<Shape::kFirstInRegisters>(queries, warp_tile, rows_first);

  const QueryVisibility<kRowTiles> visibility(p.prepared, extent, batch, warp_first, lane);
  Accumulator<kRowTiles, D / 8> out;
  set_zero(out);
  RowSums<kRowTiles> rows;
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) rows.largest[m][half] = -INFINITY, rows.sum[m][half] = 0;

  const float log2_scale = extent.scale * kLog2E;
  const auto attend = [&](const KeyTile& tile, const auto& groups) {
    Accumulator<kRowTiles, 2 * kGroups> s;
    multiply_transposed<D, kRowTiles, kGroups>(s, left, tile.keys, columns_first, groups);
    visibility.template mask<kGroups>(s, tile.first, -INFINITY, lane, groups);
    update_softmax<D, kRowTiles, kGroups>(s, rows, out, log2_scale, groups);
    multiply_accumulate<D, kRowTiles, kGroups>(out, s, tile.values, rows_first, groups);
  };
  while (ring.has_next()) {
    const KeyTile key_tile = ring.next();
    if (tiles.is_free(key_tile.first)) {
      attend(key_tile, AllGroups{});
    } else {
      const VisibleGroups groups = visibility.template groups<kGroups>(key_tile.first);
      if (groups.begin < groups.end) attend(key_tile, groups);
    }
  }

#pragma unroll
  for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = rows.sum[m][half];
      sum += device::shuffle_xor(sum, 1);
      sum += device::shuffle_xor(sum, 2);
      const float share = device::reciprocal(sum);
#pragma unroll
      for (int n = 0; n < D / 8; ++n)
        out[m][n][2 * half] *= share, out[m][n][2 * half + 1] *= share;
      const int token = warp_first + 16 * m + 8 * half + lane.row();
      if (p.log_sum_exp != nullptr && lane.lane % 4 == 0 && token < extent.length) {
        const float log2_sum = rows.largest[m][half] * log2_scale + device::log2(sum);
        p.log_sum_exp[(static_cast<std::int64_t>(batch) * extent.query_heads + head) *
                          extent.length +
                      token] = log2_sum * kLn2;
      }
    }
  device::warp_barrier();
  put_accumulators<D, kRowTiles>(warp_tile, out, 1.0F, lane);
  device::block_barrier();
  store_rows<D, Shape::kRows, Shape::kThreads>(0, p.out, batch, head, first, extent.length);
}

}  // namespace zebra::kernels::ampere
