#pragma once

#include <cmath>

#include "../exponential.h"
#include "tile.h"

namespace zebra::kernels::float32 {

struct ForwardParameters {
  Extent extent;
  Rows<const float> q, k, v;
  RotaryTable rotary;
  Rows<float> out;
  float* log_sum_exp = nullptr;  // [batch, query_heads, length] or null
};

struct QueryGradientParameters {
  Extent extent;
  Rows<const float> q, k, v, out, d_out;
  RotaryTable rotary;
  const float* log_sum_exp = nullptr;
  float* delta =
      nullptr;  // written for the other kernel: dot(out, d_out) [batch, query_heads, length]
  Rows<float> dq;
};

struct KeyValueGradientParameters {
  Extent extent;
  Rows<const float> q, k, v, d_out;
  RotaryTable rotary;
  const float *log_sum_exp = nullptr, *delta = nullptr;
  Rows<float> dk, dv;
};

/// Shared memory: four tiles and the warps' scratch.
template <int D>
inline constexpr int kSharedBytes = (4 * kTileFloats<D> + kTile * 32) *
                                    static_cast<int>(sizeof(float));

/// This thread's place and its block's shared memory.
template <int D>
struct Place {
  int lane = device::thread_index() % 32, warp_row = device::thread_index() / 32 * kRows;
  int first = device::block_index_x() * kTile, head = device::block_index_y(),
      batch = device::block_index_z();

  ZEBRA_DEVICE float* tile(int i) const {
    return reinterpret_cast<float*>(device::shared_memory()) + i * kTileFloats<D>;
  }
  /// A tile at the warp's first row.
  ZEBRA_DEVICE float* rows(int i) const { return tile(i) + warp_row * kRowFloats<D>; }
  ZEBRA_DEVICE float* scratch() const { return tile(4) + warp_row * 32; }
};

/// Per query head, in arrays [batch, query_heads, length].
ZEBRA_DEVICE std::int64_t query_row(const Extent& extent, int batch, int head) {
  return (static_cast<std::int64_t>(batch) * extent.query_heads + head) * extent.length;
}

/// The first key tile of a query tile.
ZEBRA_DEVICE int first_key_tile(const Extent& extent, int first) {
  return (first > extent.window ? first - extent.window : 0) / kTile * kTile;
}

/// Grid of all kernels: x tiles of 32 tokens, y heads (query heads, in the last kernel key heads),
/// z sequences.
template <int D>
ZEBRA_KERNEL(kThreads, 1)
forward_kernel(ZEBRA_PARAMETER ForwardParameters p) {
  const Extent& extent = p.extent;
  const Place<D> at;
  const float log2_scale = extent.scale * kLog2E;
  load_tile<D>(at.tile(0), p.q, p.rotary, at.batch, at.head, at.first, extent.length);
  float largest[kRows], sum[kRows], out[kRows][D / 32];
  int first_key[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int token = at.first + at.warp_row + r;
    first_key[r] = token < extent.length ? extent.first_key(at.batch, token) : INT_MAX;
    largest[r] = -INFINITY;
    sum[r] = 0.0F;
#pragma unroll
    for (int i = 0; i < D / 32; ++i) out[r][i] = 0.0F;
  }
  for (int keys = first_key_tile(extent, at.first); keys < at.first + kTile; keys += kTile) {
    device::block_barrier();
    load_tile<D>(at.tile(1), p.k, p.rotary, at.batch, at.head / extent.group, keys, extent.length);
    load_tile<D>(at.tile(2), p.v, {}, at.batch, at.head / extent.group, keys, extent.length);
    device::block_barrier();
    float s[kRows];
    multiply_rows<D>(s, at.rows(0), at.tile(1), at.lane);
    const int key = keys + at.lane;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const bool visible = first_key[r] <= key && key <= at.first + at.warp_row + r;
      const float score = visible ? s[r] : -INFINITY;
      const float tile_largest = largest_over_lanes(score);
      const float now = tile_largest > largest[r] ? tile_largest : largest[r];
      // A row may have seen no key yet: its weights must be 0, not exp2(inf - inf).
      const float offset = now == -INFINITY ? 0.0F : now;
      const float correction = device::exp2((largest[r] - offset) * log2_scale);
      s[r] = device::exp2((score - offset) * log2_scale);
      sum[r] = sum[r] * correction + sum_over_lanes(s[r]);
      largest[r] = now;
#pragma unroll
      for (int i = 0; i < D / 32; ++i) out[r][i] *= correction;
    }
    accumulate<D>(out, s, at.scratch(), at.tile(2), at.lane);
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int token = at.first + at.warp_row + r;
#pragma unroll
    for (int i = 0; i < D / 32; ++i) out[r][i] /= sum[r];
    if (p.log_sum_exp != nullptr && at.lane == 0 && token < extent.length) {
      p.log_sum_exp[query_row(extent, at.batch, at.head) + token] =
          largest[r] * extent.scale + device::log2(sum[r]) * kLn2;
    }
  }
  store_tile<D>(at.tile(0), out, 1.0F, p.out, {}, at.batch, at.head, at.first, extent.length);
}

/// dot(out, d_out) of the warp's rows, summed in the order of multiply_rows: a query that sees one
/// key has a zero gradient exactly. The lanes of a row repeat its sum.
template <int D>
ZEBRA_DEVICE void output_dots(float (&delta)[kRows], const QueryGradientParameters& p,
                              const Place<D>& at, const float* d_out) {
  const int row = at.lane % kRows, token = at.first + at.warp_row + row;
  float sum = 0.0F;
  if (token < p.extent.length) {
    const float* const out = p.out.at(at.batch, at.head, token);
    for (int j = 0; j < D; ++j) sum += d_out[row * kRowFloats<D> + j] * out[j];
  }
  at.scratch()[at.lane] = sum;
  device::warp_barrier();
#pragma unroll
  for (int r = 0; r < kRows; ++r) delta[r] = at.scratch()[r];
}

template <int D>
ZEBRA_KERNEL(kThreads, 1)
query_gradient_kernel(ZEBRA_PARAMETER QueryGradientParameters p) {
  const Extent& extent = p.extent;
  const Place<D> at;
  const float log2_scale = extent.scale * kLog2E;
  load_tile<D>(at.tile(0), p.q, p.rotary, at.batch, at.head, at.first, extent.length);
  load_tile<D>(at.tile(1), p.d_out, {}, at.batch, at.head, at.first, extent.length);
  device::block_barrier();
  float log_sum_exp[kRows], delta[kRows], dq[kRows][D / 32];
  int first_key[kRows];
  output_dots<D>(delta, p, at, at.rows(1));
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int token = at.first + at.warp_row + r;
    const bool exists = token < extent.length;
    const std::int64_t row = query_row(extent, at.batch, at.head) + token;
    first_key[r] = exists ? extent.first_key(at.batch, token) : INT_MAX;
    log_sum_exp[r] = exists ? p.log_sum_exp[row] : 0.0F;
    if (exists && at.lane == 0) p.delta[row] = delta[r];
#pragma unroll
    for (int i = 0; i < D / 32; ++i) dq[r][i] = 0.0F;
  }
  for (int keys = first_key_tile(extent, at.first); keys < at.first + kTile; keys += kTile) {
    device::block_barrier();
    load_tile<D>(at.tile(2), p.k, p.rotary, at.batch, at.head / extent.group, keys, extent.length);
    load_tile<D>(at.tile(3), p.v, {}, at.batch, at.head / extent.group, keys, extent.length);
    device::block_barrier();
    float s[kRows], d_p[kRows];
    multiply_rows<D>(s, at.rows(0), at.tile(2), at.lane);
    multiply_rows<D>(d_p, at.rows(1), at.tile(3), at.lane);
    const int key = keys + at.lane;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const bool visible = first_key[r] <= key && key <= at.first + at.warp_row + r;
      const float weight = device::exp2(s[r] * log2_scale - log_sum_exp[r] * kLog2E);
      s[r] = visible ? weight * (d_p[r] - delta[r]) : 0.0F;
    }
    accumulate<D>(dq, s, at.scratch(), at.tile(2), at.lane);
  }
  store_tile<D>(at.tile(0), dq, extent.scale, p.dq, p.rotary, at.batch, at.head, at.first,
                extent.length);
}

/// Rows are keys, columns queries.
template <int D>
ZEBRA_KERNEL(kThreads, 1)
key_value_gradient_kernel(ZEBRA_PARAMETER KeyValueGradientParameters p) {
  const Extent& extent = p.extent;
  const Place<D> at;
  const float log2_scale = extent.scale * kLog2E;
  load_tile<D>(at.tile(0), p.k, p.rotary, at.batch, at.head, at.first, extent.length);
  load_tile<D>(at.tile(1), p.v, {}, at.batch, at.head, at.first, extent.length);
  float dk[kRows][D / 32], dv[kRows][D / 32];
#pragma unroll
  for (int r = 0; r < kRows; ++r)
#pragma unroll
    for (int i = 0; i < D / 32; ++i) dk[r][i] = dv[r][i] = 0.0F;

  const int reach = at.first + kTile + extent.window;
  const int end = reach < extent.length ? reach : extent.length;
  for (int head = at.head * extent.group; head < (at.head + 1) * extent.group; ++head) {
    for (int queries = at.first; queries < end; queries += kTile) {
      device::block_barrier();
      load_tile<D>(at.tile(2), p.q, p.rotary, at.batch, head, queries, extent.length);
      load_tile<D>(at.tile(3), p.d_out, {}, at.batch, head, queries, extent.length);
      device::block_barrier();
      const int query = queries + at.lane;
      const bool exists = query < extent.length;
      const int first_key = exists ? extent.first_key(at.batch, query) : INT_MAX;
      const std::int64_t row = query_row(extent, at.batch, head) + query;
      const float offset = exists ? p.log_sum_exp[row] * kLog2E : 0.0F;
      const float delta = exists ? p.delta[row] : 0.0F;
      float weight[kRows], d_score[kRows];
      multiply_rows<D>(weight, at.rows(0), at.tile(2), at.lane);
      multiply_rows<D>(d_score, at.rows(1), at.tile(3), at.lane);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        const int key = at.first + at.warp_row + r;
        const bool visible = first_key <= key && key <= query;
        weight[r] = visible ? device::exp2(weight[r] * log2_scale - offset) : 0.0F;
        d_score[r] = visible ? weight[r] * (d_score[r] - delta) : 0.0F;
      }
      accumulate<D>(dv, weight, at.scratch(), at.tile(3), at.lane);
      accumulate<D>(dk, d_score, at.scratch(), at.tile(2), at.lane);
    }
  }
  store_tile<D>(at.tile(0), dk, extent.scale, p.dk, p.rotary, at.batch, at.head, at.first,
                extent.length);
  store_tile<D>(at.tile(1), dv, 1.0F, p.dv, {}, at.batch, at.head, at.first, extent.length);
}

}  // namespace zebra::kernels::float32
