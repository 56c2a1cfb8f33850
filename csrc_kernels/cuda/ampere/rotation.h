#pragma once

#include "products.h"

// Rotary embedding on registers: the partner of column j, j + D / 2, lies in the same lane, in
// another fragment.

namespace zebra::kernels::ampere {

struct alignas(8) FloatPair {
  float x, y;
};

/// The table's row of a token of one sequence.
class RotaryRow {
 public:
  ZEBRA_DEVICE RotaryRow(const RotaryTable& rotary, int batch, int token)
      : offset_(batch * rotary.batch_stride + token * rotary.token_stride),
        cos_(rotary.cos),
        sin_(rotary.sin) {}

  /// Turns columns j and j + 1 (j even) and their partners.
  ZEBRA_DEVICE void turn(int j, FloatPair& low, FloatPair& high) const {
    turn_by(at(cos_, j), at(sin_, j), low, high);
  }
  ZEBRA_DEVICE void turn_back(int j, FloatPair& low, FloatPair& high) const {
    const FloatPair sin = at(sin_, j);
    turn_by(at(cos_, j), {-sin.x, -sin.y}, low, high);
  }

 private:
  ZEBRA_DEVICE FloatPair at(const float* table, int j) const {
    return *reinterpret_cast<const FloatPair*>(table + offset_ + j);
  }
  static ZEBRA_DEVICE void turn_by(FloatPair cos, FloatPair sin, FloatPair& low, FloatPair& high) {
    const FloatPair turned = {low.x * cos.x - high.x * sin.x, low.y * cos.y - high.y * sin.y};
    high = {high.x * cos.x + low.x * sin.x, high.y * cos.y + low.y * sin.y};
    low = turned;
  }

  std::int64_t offset_;
  const float* cos_;
  const float* sin_;
};

ZEBRA_DEVICE FloatPair unpack(std::uint32_t pair) {
  return {device::low_bfloat16(pair), device::high_bfloat16(pair)};
}
ZEBRA_DEVICE std::uint32_t pack(FloatPair pair) { return device::pack_bfloat16(pair.x, pair.y); }

/// Turns a warp's left fragments, whose first row is token `first`. Tokens from `length` on must be
/// zero.
template <int D, int kRowTiles>
ZEBRA_DEVICE void rotate(LeftFragments<kRowTiles, D / 16>& fragments, const RotaryTable& rotary,
                         int batch, int first, int length, const Lane& lane) {
  if (rotary.cos == nullptr) return;
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int token = first + 16 * m + 8 * half + lane.row();
      if (token >= length) continue;
      const RotaryRow row(rotary, batch, token);
#pragma unroll
      for (int k = 0; k < D / 32; ++k)
#pragma unroll
        for (int i = half; i < 4; i += 2) {
          FloatPair low = unpack(fragments[m][k][i]), high = unpack(fragments[m][k + D / 32][i]);
          row.turn(16 * k + 4 * (i - half) + lane.column(), low, high);
          fragments[m][k][i] = pack(low);
          fragments[m][k + D / 32][i] = pack(high);
        }
    }
}

/// Turns a warp's accumulators back: the gradient of a rotation is the opposite rotation.
template <int D, int kRowTiles>
ZEBRA_DEVICE void rotate_back(float (&c)[kRowTiles][D / 8][4], const RotaryTable& rotary, int batch,
                              int first, int length, const Lane& lane) {
  if (rotary.cos == nullptr) return;
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int token = first + 16 * m + 8 * half + lane.row();
      if (token >= length) continue;
      const RotaryRow row(rotary, batch, token);
#pragma unroll
      for (int n = 0; n < D / 16; ++n) {
        float(&low)[4] = c[m][n];
        float(&high)[4] = c[m][n + D / 16];
        FloatPair low_pair = {low[2 * half], low[2 * half + 1]};
        FloatPair high_pair = {high[2 * half], high[2 * half + 1]};
        row.turn_back(8 * n + lane.column(), low_pair, high_pair);
        low[2 * half] = low_pair.x, low[2 * half + 1] = low_pair.y;
        high[2 * half] = high_pair.x, high[2 * half + 1] = high_pair.y;
      }
    }
}

/// Rounds a warp's accumulators times `factor` into its rows of a tile (`tile` is at the warp's
/// first row).
template <int D, int kRowTiles>
ZEBRA_DEVICE void put_accumulators(int tile, const float (&c)[kRowTiles][D / 8][4], float factor,
                                   const Lane& lane) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int n = 0; n < D / 8; ++n) {
        const int offset = SharedTile<D>::offset(16 * m + 8 * half + lane.row(), n);
        *reinterpret_cast<std::uint32_t*>(device::shared_memory() + tile + offset +
                                          2 * lane.column()) =
            device::pack_bfloat16(factor * c[m][n][2 * half], factor * c[m][n][2 * half + 1]);
      }
}

/// The same for left fragments.
template <int D, int kRowTiles>
ZEBRA_DEVICE void put_fragments(int tile, const LeftFragments<kRowTiles, D / 16>& fragments,
                                const Lane& lane) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
    for (int k = 0; k < D / 16; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int offset = SharedTile<D>::offset(16 * m + 8 * (i % 2) + lane.row(), 2 * k + i / 2);
        *reinterpret_cast<std::uint32_t*>(device::shared_memory() + tile + offset +
                                          2 * lane.column()) = fragments[m][k][i];
      }
}

template <int D, int kRowTiles>
ZEBRA_DEVICE void get_fragments(LeftFragments<kRowTiles, D / 16>& fragments, int tile,
                                const BlockAddress<D>& rows_first) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
    for (int k = 0; k < D / 16; ++k)
      device::load_matrices(fragments[m][k], rows_first.in(tile, 16 * m, 16 * k));
}

}  // namespace zebra::kernels::ampere
