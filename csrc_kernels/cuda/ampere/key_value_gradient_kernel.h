#pragma once

#include "../exponential.h"
#include "query_ring.h"
#include "rotation.h"

namespace zebra::kernels::ampere {

/// Sets elements of a transposed score tile (rows keys, columns queries) that are invisible to 0.
template <int kRowTiles, int kGroups, class Groups>
ZEBRA_DEVICE void mask_queries(float (&p)[kRowTiles][2 * kGroups][4], int warp_first,
                               const QueryTile& tile, const Lane& lane, const Groups& groups) {
  if constexpr (Groups::kMasked) {
#pragma unroll
    for (int n = 0; n < 2 * kGroups; ++n) {
      if (!groups.contains(n / 2)) continue;
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int column = 8 * n + lane.column() + j, query = tile.first + column;
        const int first_key = tile.first_key[column];
#pragma unroll
        for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
          for (int half = 0; half < 2; ++half) {
            const int key = warp_first + 16 * m + 8 * half + lane.row();
            if (key < first_key || key > query) p[m][n][2 * half + j] = 0.0F;
          }
      }
    }
  }
}

/// Turns transposed scores into weights.
template <int kRowTiles, int kGroups, class Groups>
ZEBRA_DEVICE void weights_of(float (&s)[kRowTiles][2 * kGroups][4], const QueryTile& tile,
                             float log2_scale, const Lane& lane, const Groups& groups) {
#pragma unroll
  for (int n = 0; n < 2 * kGroups; ++n) {
    if (!groups.contains(n / 2)) continue;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const float offset = tile.statistics[8 * n + lane.column() + j].log2_sum_exp;
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          float& x = s[m][n][2 * half + j];
          x = device::exp2(x * log2_scale - offset);
        }
    }
  }
}

/// d_p becomes the transposed score gradients, but for the factor `scale`.
template <int kRowTiles, int kGroups, class Groups>
ZEBRA_DEVICE void key_score_gradients(float (&d_p)[kRowTiles][2 * kGroups][4],
                                      const float (&p)[kRowTiles][2 * kGroups][4],
                                      const QueryTile& tile, const Lane& lane,
                                      const Groups& groups) {
#pragma unroll
  for (int n = 0; n < 2 * kGroups; ++n) {
    if (!groups.contains(n / 2)) continue;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const float delta = tile.statistics[8 * n + lane.column() + j].delta;
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          float& x = d_p[m][n][2 * half + j];
          x = p[m][n][2 * half + j] * (x - delta);
        }
    }
  }
}

/// The gradient of one tile of keys and values of one key head, summed over the query heads that
/// share it. Everything is transposed, so that weights and score gradients are left operands as
/// they come. Grid: x tiles, y key heads, z sequences.
template <int D>
ZEBRA_KERNEL(KeyValueGradientShape<D>::kThreads, KeyValueGradientShape<D>::kBlocks)
key_value_gradient_kernel(ZEBRA_PARAMETER KeyValueGradientParameters p) {
  using Shape = KeyValueGradientShape<D>;
  constexpr int kRowTiles = Shape::kRowTiles, kGroups = Shape::kGroups;
  constexpr int kTileBytes = SharedTile<D>::bytes(Shape::kRows);
  const Extent& extent = p.extent;
  const Lane lane;
  const int first = device::block_index_x() * Shape::kRows, key_head = device::block_index_y(),
            batch = device::block_index_z();
  const int warp_first = first + lane.warp * Shape::kWarpRows;
  const int key_tile = SharedTile<D>::bytes(lane.warp * Shape::kWarpRows);
  const int value_tile = key_tile + kTileBytes;

  const RowShare<D, Shape::kThreads> share(device::thread_index());
  share.template copy<Shape::kRows>(
      0, share.in(p.prepared.key_rows<D>(extent, batch, key_head, first), D), D, Shape::kRows);
  copy_rows<D, Shape::kRows, Shape::kThreads>(kTileBytes, p.v, batch, key_head, first,
                                              extent.length);
  device::commit_copies();
  const TileRange tiles =
      query_tiles<Shape::kRows, Shape::kColumns>(p.prepared, extent, batch, first, lane);
  QueryRing<D, Shape> ring(2 * kTileBytes, p, batch, key_head, tiles);

  const auto rows_first = BlockAddress<D>::rows_first(lane);
  const auto columns_first = BlockAddress<D>::columns_first(lane);
  RegisterOperand<D, kRowTiles> keys, values;
  if constexpr (Shape::kSecondInRegisters) {
    device::wait_copies<Shape::kStages - 1>();
    device::block_barrier();
    if constexpr (Shape::kFirstInRegisters) {
      get_fragments<D, kRowTiles>(keys.fragments, key_tile, rows_first);
    }
    get_fragments<D, kRowTiles>(values.fragments, value_tile, rows_first);
  }  // otherwise the ring's first wait covers them
  const auto left_keys = left_operand<Shape::kFirstInRegisters>(keys, key_tile, rows_first);
  const auto left_values = left_operand<Shape::kSecondInRegisters>(values, value_tile, rows_first);

  Accumulator<kRowTiles, D / 8> dk, dv;
  set_zero(dk);
  set_zero(dv);
  const float log2_scale = extent.scale * kLog2E;
  const auto accumulate = [&](const QueryTile& tile, const auto& groups) {
    Accumulator<kRowTiles, 2 * kGroups> weights, d_p;
    multiply_transposed<D, kRowTiles, kGroups>(weights, left_keys, tile.queries, columns_first,
                                               groups);
    weights_of<kRowTiles, kGroups>(weights, tile, log2_scale, lane, groups);
    mask_queries<kRowTiles, kGroups>(weights, warp_first, tile, lane, groups);
    multiply_accumulate<D, kRowTiles, kGroups>(dv, weights, tile.d_out, rows_first, groups);
    multiply_transposed<D, kRowTiles, kGroups>(d_p, left_values, tile.d_out, columns_first, groups);
    key_score_gradients<kRowTiles, kGroups>(d_p, weights, tile, lane, groups);
    mask_queries<kRowTiles, kGroups>(d_p, warp_first, tile, lane, groups);
    multiply_accumulate<D, kRowTiles, kGroups>(dk, d_p, tile.queries, rows_first, groups);
  };
  while (ring.has_next()) {
    const QueryTile query_tile = ring.next();
    if (tiles.is_free(query_tile.first)) {
      accumulate(query_tile, AllGroups{});
    } else {
      const VisibleGroups groups = visible_groups<Shape>(query_tile.first, warp_first, extent);
      if (groups.begin < groups.end) accumulate(query_tile, groups);
    }
  }

  device::warp_barrier();
  put_accumulators<D, kRowTiles>(value_tile, dv, 1.0F, lane);
  rotate_back<D, kRowTiles>(dk, p.rotary, batch, warp_first, extent.length, lane);
  put_accumulators<D, kRowTiles>(key_tile, dk, extent.scale, lane);
  device::block_barrier();
  store_rows<D, Shape::kRows, Shape::kThreads>(0, p.dk, batch, key_head, first, extent.length);
  store_rows<D, Shape::kRows, Shape::kThreads>(kTileBytes, p.dv, batch, key_head, first,
                                               extent.length);
}

}  // namespace zebra::kernels::ampere
