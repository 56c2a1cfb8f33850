#pragma once

#include <climits>
#include <cstdint>

#include "../arguments.h"

// float32 attention without tensor cores: plain, short, exact, for checks. A block owns 32 rows and
// walks over tiles of 32 columns. Each of its 4 warps has 8 rows; a lane is a column of scores, and
// of what is summed over columns every 32nd element.

namespace zebra::kernels::float32 {

inline constexpr int kTile = 32, kWarps = 4, kThreads = 32 * kWarps, kRows = kTile / kWarps;

struct Extent {
  int length = 0, query_heads = 0, key_heads = 0, group = 0;
  int window = 0;                             // at most length
  float scale = 0.0F;                         // 1 / sqrt(D)
  const std::int64_t* first_token = nullptr;  // [batch, length] or null

  ZEBRA_DEVICE int first_key(int batch, int token) const {
    const int first = token > window ? token - window : 0;
    if (first_token == nullptr) return first;
    const int document =
        static_cast<int>(first_token[static_cast<std::int64_t>(batch) * length + token]);
    return document > first ? document : first;
  }
};

/// Rows of D numbers in shared memory; one more between rows keeps the lanes of a column in
/// different banks.
template <int D>
inline constexpr int kRowFloats = D + 1;
template <int D>
inline constexpr int kTileFloats = kTile* kRowFloats<D>;

/// x becomes rotated (direction 1) or turned back (-1); j and j + D / 2 are its columns.
ZEBRA_DEVICE void rotate(float& low, float& high, const RotaryTable& rotary, int batch, int token,
                         int j, float direction) {
  if (rotary.cos == nullptr) return;
  const std::int64_t at = batch * rotary.batch_stride + token * rotary.token_stride + j;
  const float cos = rotary.cos[at], sin = direction * rotary.sin[at];
  const float turned = low * cos - high * sin;
  high = high * cos + low * sin;
  low = turned;
}

/// The tokens first .. first + 31 of one head, rotated if a table is given; zeros beyond length.
template <int D>
ZEBRA_DEVICE void load_tile(float* tile, const Rows<const float>& x, const RotaryTable& rotary,
                            int batch, int head, int first, int length) {
  for (int i = device::thread_index(); i < kTile * D / 2; i += kThreads) {
    const int row = i / (D / 2), j = i % (D / 2), token = first + row;
    float low = 0.0F, high = 0.0F;
    if (token < length) {
      const float* source = x.at(batch, head, token);
      low = source[j];
      high = source[j + D / 2];
      rotate(low, high, rotary, batch, token, j, 1.0F);
    }
    tile[row * kRowFloats<D> + j] = low;
    tile[row * kRowFloats<D> + j + D / 2] = high;
  }
}

/// dots[r] = row r . row `lane` of `columns`. `rows` is at the warp's first row.
template <int D>
ZEBRA_DEVICE void multiply_rows(float (&dots)[kRows], const float* rows, const float* columns,
                                int lane) {
#pragma unroll
  for (int r = 0; r < kRows; ++r) dots[r] = 0.0F;
#pragma unroll 4
  for (int j = 0; j < D; ++j) {
    const float column = columns[lane * kRowFloats<D> + j];
#pragma unroll
    for (int r = 0; r < kRows; ++r) dots[r] += rows[r * kRowFloats<D> + j] * column;
  }
}

/// sums[r][i] += weights of row r . column lane + 32 i of `tile`. weights[r] is this lane's column;
/// `scratch` is the warp's own, [kRows, 32].
template <int D>
ZEBRA_DEVICE void accumulate(float (&sums)[kRows][D / 32], const float (&weights)[kRows],
                             float* scratch, const float* tile, int lane) {
  device::warp_barrier();
#pragma unroll
  for (int r = 0; r < kRows; ++r) scratch[r * 32 + lane] = weights[r];
  device::warp_barrier();
#pragma unroll 4
  for (int s = 0; s < kTile; ++s) {
#pragma unroll
    for (int i = 0; i < D / 32; ++i) {
      const float value = tile[s * kRowFloats<D> + lane + 32 * i];
#pragma unroll
      for (int r = 0; r < kRows; ++r) sums[r][i] += scratch[r * 32 + s] * value;
    }
  }
}

/// Puts a warp's sums into its rows of a tile and stores the tile, turned back if a table is given.
template <int D>
ZEBRA_DEVICE void store_tile(float* tile, const float (&sums)[kRows][D / 32], float factor,
                             const Rows<float>& x, const RotaryTable& rotary, int batch, int head,
                             int first, int length) {
  const int warp = device::thread_index() / 32, lane = device::thread_index() % 32;
  device::block_barrier();
#pragma unroll
  for (int r = 0; r < kRows; ++r)
#pragma unroll
    for (int i = 0; i < D / 32; ++i)
      tile[(warp * kRows + r) * kRowFloats<D> + lane + 32 * i] = factor * sums[r][i];
  device::block_barrier();
  for (int i = device::thread_index(); i < kTile * D / 2; i += kThreads) {
    const int row = i / (D / 2), j = i % (D / 2), token = first + row;
    if (token >= length) continue;
    float low = tile[row * kRowFloats<D> + j], high = tile[row * kRowFloats<D> + j + D / 2];
    rotate(low, high, rotary, batch, token, j, -1.0F);
    float* const target = x.at(batch, head, token);
    target[j] = low;
    target[j + D / 2] = high;
  }
}

template <class Combine>
ZEBRA_DEVICE float over_lanes(float x, const Combine& combine) {
#pragma unroll
  for (int mask = 1; mask < 32; mask *= 2) x = combine(x, device::shuffle_xor(x, mask));
  return x;
}
ZEBRA_DEVICE float sum_over_lanes(float x) {
  return over_lanes(x, [](float a, float b) { return a + b; });
}
ZEBRA_DEVICE float largest_over_lanes(float x) {
  return over_lanes(x, [](float a, float b) { return a > b ? a : b; });
}

}  // namespace zebra::kernels::float32
