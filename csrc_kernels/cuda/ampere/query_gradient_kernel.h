#pragma once

#include <cmath>

#include "../exponential.h"
#include "key_ring.h"
#include "rotation.h"

namespace zebra::kernels::ampere {

/// Per row of a thread: log2 of the softmax denominator, and dot(out, d_out).
template <int kRowTiles>
struct RowStatistics {
  QueryStatistics of[kRowTiles][2];
};

/// `d_out_tile` is at the warp's first row. The four lanes of a row share its columns.
template <int D, int kRowTiles>
ZEBRA_DEVICE RowStatistics<kRowTiles> row_statistics(const QueryGradientParameters& p, int batch,
                                                     int head, int warp_first, int d_out_tile,
                                                     const Lane& lane) {
  RowStatistics<kRowTiles> rows;
  const int part = lane.lane % 4;
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = 16 * m + 8 * half + lane.row(), token = warp_first + row;
      float delta = 0.0F, log2_sum_exp = INFINITY;
      if (token < p.extent.length) {
        const std::uint16_t* out = p.out.at(batch, head, token);
#pragma unroll
        for (int chunk = 0; chunk < D / 32; ++chunk) {
          const int column = 4 * chunk + part;
          const device::Words a = device::load_words(out + 8 * column);
          const device::Words b = device::load_words(device::shared_memory() + d_out_tile +
                                                     SharedTile<D>::offset(row, column));
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const FloatPair x = unpack(a.w[i]), y = unpack(b.w[i]);
            delta += x.x * y.x + x.y * y.y;
          }
        }
        const std::int64_t sequence =
            static_cast<std::int64_t>(batch) * p.extent.query_heads + head;
        log2_sum_exp = p.log_sum_exp[sequence * p.extent.length + token] * kLog2E;
      }
      delta += device::shuffle_xor(delta, 1);
      delta += device::shuffle_xor(delta, 2);
      rows.of[m][half] = {log2_sum_exp, delta};
    }
  return rows;
}

/// Turns scores into score gradients, but for the factor `scale`: p (d_p - delta), p the softmax
/// weight.
template <int kRowTiles, int kGroups, class Groups>
ZEBRA_DEVICE void query_score_gradients(float (&s)[kRowTiles][2 * kGroups][4],
                                        const float (&d_p)[kRowTiles][2 * kGroups][4],
                                        const RowStatistics<kRowTiles>& rows, float log2_scale,
                                        const Groups& groups) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
    for (int n = 0; n < 2 * kGroups; ++n) {
      if (!groups.contains(n / 2)) continue;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const QueryStatistics& row = rows.of[m][i / 2];
        const float weight = device::exp2(s[m][n][i] * log2_scale - row.log2_sum_exp);
        s[m][n][i] = weight * (d_p[m][n][i] - row.delta);
      }
    }
}

/// The gradient of one tile of queries of one head; leaves their rotated form and statistics for
/// the gradient of keys and values. Grid: x tiles, y query heads, z sequences.
template <int D>
ZEBRA_KERNEL(QueryGradientShape<D>::kThreads, QueryGradientShape<D>::kBlocks)
query_gradient_kernel(ZEBRA_PARAMETER QueryGradientParameters p) {
  using Shape = QueryGradientShape<D>;
  constexpr int kRowTiles = Shape::kRowTiles, kGroups = Shape::kGroups;
  constexpr int kTileBytes = SharedTile<D>::bytes(Shape::kRows);
  const Extent& extent = p.extent;
  const Lane lane;
  const int first = block_row<Shape>(extent), head = device::block_index_y(),
            batch = device::block_index_z();
  const int warp_first = first + lane.warp * Shape::kWarpRows;
  const int warp_tile = SharedTile<D>::bytes(lane.warp * Shape::kWarpRows);
  const int d_out_tile = warp_tile + kTileBytes;

  copy_rows<D, Shape::kRows, Shape::kThreads>(0, p.q, batch, head, first, extent.length);
  copy_rows<D, Shape::kRows, Shape::kThreads>(kTileBytes, p.d_out, batch, head, first,
                                              extent.length);
  device::commit_copies();
  const TileRange tiles = key_tiles<Shape::kRows, Shape::kColumns>(
      bounds_of<Shape::kRows>(p.prepared, extent, batch, first), extent, first);
  KeyRing<D, Shape> ring(2 * kTileBytes, p.prepared, p.v, extent, batch, head / extent.group,
                         tiles);

  const auto rows_first = BlockAddress<D>::rows_first(lane);
  const auto columns_first = BlockAddress<D>::columns_first(lane);
  device::wait_copies<Shape::kStages - 1>();
  device::block_barrier();
  RegisterOperand<D, kRowTiles> queries, d_out;
  get_fragments<D, kRowTiles>(queries.fragments, warp_tile, rows_first);
  rotate<D, kRowTiles>(queries.fragments, p.rotary, batch, warp_first, extent.length, lane);
  const RowStatistics<kRowTiles> rows =
      row_statistics<D, kRowTiles>(p, batch, head, warp_first, d_out_tile, lane);
  device::warp_barrier();
  put_fragments<D, kRowTiles>(warp_tile, queries.fragments, lane);
  device::block_barrier();
  const RowShare<D, Shape::kThreads> share(device::thread_index());
  share.template store<Shape::kRows>(
      0, share.in(p.prepared_queries.query_rows<D>(extent, batch, head, first), D), D,
      Shape::kRows);
  if (lane.lane % 4 == 0) {
    QueryStatistics* const statistics =
        p.prepared_queries.statistics_of(extent, batch, head, warp_first + lane.row());
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) statistics[16 * m + 8 * half] = rows.of[m][half];
  }
  if constexpr (Shape::kSecondInRegisters) {
    get_fragments<D, kRowTiles>(d_out.fragments, d_out_tile, rows_first);
  }
  const auto left_queries = left_operand<Shape::kFirstInRegisters>(queries, warp_tile, rows_first);
  const auto left_d_out = left_operand<Shape::kSecondInRegisters>(d_out, d_out_tile, rows_first);

  const QueryVisibility<kRowTiles> visibility(p.prepared, extent, batch, warp_first, lane);
  Accumulator<kRowTiles, D / 8> dq;
  set_zero(dq);
  const float log2_scale = extent.scale * kLog2E;
  const auto accumulate = [&](const KeyTile& tile, const auto& groups) {
    Accumulator<kRowTiles, 2 * kGroups> s, d_p;
    multiply_transposed<D, kRowTiles, kGroups>(s, left_queries, tile.keys, columns_first, groups);
    multiply_transposed<D, kRowTiles, kGroups>(d_p, left_d_out, tile.values, columns_first, groups);
    query_score_gradients<kRowTiles, kGroups>(s, d_p, rows, log2_scale, groups);
    visibility.template mask<kGroups>(s, tile.first, 0.0F, lane, groups);
    multiply_accumulate<D, kRowTiles, kGroups>(dq, s, tile.keys, rows_first, groups);
  };
  while (ring.has_next()) {
    const KeyTile key_tile = ring.next();
    if (tiles.is_free(key_tile.first)) {
      accumulate(key_tile, AllGroups{});
    } else {
      const VisibleGroups groups = visibility.template groups<kGroups>(key_tile.first);
      if (groups.begin < groups.end) accumulate(key_tile, groups);
    }
  }

  rotate_back<D, kRowTiles>(dq, p.rotary, batch, warp_first, extent.length, lane);
  device::warp_barrier();
  put_accumulators<D, kRowTiles>(warp_tile, dq, extent.scale, lane);
  device::block_barrier();
  store_rows<D, Shape::kRows, Shape::kThreads>(0, p.dq, batch, head, first, extent.length);
}

}  // namespace zebra::kernels::ampere
