#pragma once

// Products of packed bfloat16 matrices by tiles, and the queue in which they wait to be issued
// between other work.

#include "../tile.h"
#include "tiles.h"

namespace zebra::kernels {
namespace {

/// Rows and columns of a product, elements along the contracted dimension of one step of it.
constexpr int kProductSide = 32;
/// Words of two elements of one step.
constexpr int kStepWords = kProductSide / 2;

/// C [32, 32] = A [32, depth] B [depth, 32], or added to C. A has its words by rows, B has
/// [depth / 2][32] of them. Strides count words and floats.
struct TileProduct {
  const std::uint32_t* a;
  int a_stride;
  const std::uint32_t* b;
  int b_stride;
  float* c;
  int c_stride;
  int depth;  // a multiple of 32
  bool accumulates;
};

/// Four tiles of sums, so that each waits for the one before it no longer than the others take.
__attribute__((noinline)) inline void multiply(const TileProduct& p) {
  const std::int64_t a_stride = 4 * p.a_stride, b_stride = 4 * p.b_stride,
                     c_stride = 4 * p.c_stride;
  float* const lower = p.c + 16 * p.c_stride;
  if (p.accumulates) {
    tiles::load<0>(p.c, c_stride);
    tiles::load<1>(p.c + 16, c_stride);
    tiles::load<2>(lower, c_stride);
    tiles::load<3>(lower + 16, c_stride);
  } else {
    tiles::zero<0>();
    tiles::zero<1>();
    tiles::zero<2>();
    tiles::zero<3>();
  }
  const std::uint32_t *a = p.a, *b = p.b;
  for (int depth = 0; depth < p.depth; depth += kProductSide) {
    tiles::load<4>(a, a_stride);
    tiles::load<6>(b, b_stride);
    tiles::load<7>(b + 16, b_stride);
    tiles::load<5>(a + 16 * p.a_stride, a_stride);
    tiles::multiply_add<0, 4, 6>();
    tiles::multiply_add<1, 4, 7>();
    tiles::multiply_add<2, 5, 6>();
    tiles::multiply_add<3, 5, 7>();
    a += kStepWords;
    b += kStepWords * p.b_stride;
  }
  tiles::store<0>(p.c, c_stride);
  tiles::store<1>(p.c + 16, c_stride);
  tiles::store<2>(lower, c_stride);
  tiles::store<3>(lower + 16, c_stride);
}

/// Products that wait. Tiles and vectors are computed by units of their own, and a core looks some
/// hundred instructions ahead: exponentials with a product issued now and then between them hide
/// it, one of the two behind the other would not.
class ProductQueue {
 public:
  void add(const TileProduct& product) { waiting_[count_++] = product; }

  /// Issues the next one, if any.
  void issue() {
    if (next_ < count_) multiply(waiting_[next_++]);
  }
  void issue_all() {
    while (next_ < count_) issue();
    next_ = count_ = 0;
  }

 private:
  // Two blocks of the backward at once: 2 (scores) + 2 (d_weights), and for each 32 of 256 columns
  // of a head 2 (dk, dv) + 2 (dq).
  static constexpr int kMost = 4 + 4 * (256 / kProductSide);
  TileProduct waiting_[kMost];
  int next_ = 0, count_ = 0;
};

/// Tiles are configured while it lives.
class ConfiguredTiles {
 public:
  ConfiguredTiles() { tiles::configure(); }
  ~ConfiguredTiles() { tiles::release(); }
  ConfiguredTiles(const ConfiguredTiles&) = delete;
  ConfiguredTiles& operator=(const ConfiguredTiles&) = delete;
};

/// 16 x 16 words.
inline void transpose_square(const void* from, std::int64_t from_stride, void* to,
                             std::int64_t to_stride) {
  const auto* const source = static_cast<const std::uint32_t*>(from);
  auto* const target = static_cast<std::uint32_t*>(to);
  for (int column = 0; column < 16; column += 4) {
    // Lane l of vector i: four columns of row 4 l + i. Within the lanes, 4 x 4 words are turned.
    __m512 rows[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const auto quarter = [&](int lane) {
        return _mm_loadu_ps(
            reinterpret_cast<const float*>(source + (4 * lane + i) * from_stride + column));
      };
      __m512 x = _mm512_castps128_ps512(quarter(0));
      x = _mm512_insertf32x4(x, quarter(1), 1);
      x = _mm512_insertf32x4(x, quarter(2), 2);
      rows[i] = _mm512_insertf32x4(x, quarter(3), 3);
    }
    const auto pairs = [](__m512 x) { return _mm512_castps_pd(x); };
    const __m512d low01 = pairs(_mm512_unpacklo_ps(rows[0], rows[1])),
                  high01 = pairs(_mm512_unpackhi_ps(rows[0], rows[1])),
                  low23 = pairs(_mm512_unpacklo_ps(rows[2], rows[3])),
                  high23 = pairs(_mm512_unpackhi_ps(rows[2], rows[3]));
    _mm512_storeu_pd(target + column * to_stride, _mm512_unpacklo_pd(low01, low23));
    _mm512_storeu_pd(target + (column + 1) * to_stride, _mm512_unpackhi_pd(low01, low23));
    _mm512_storeu_pd(target + (column + 2) * to_stride, _mm512_unpacklo_pd(high01, high23));
    _mm512_storeu_pd(target + (column + 3) * to_stride, _mm512_unpackhi_pd(high01, high23));
  }
}

/// [rows][columns] words to [columns][rows], both multiples of 16.
inline void transpose(const void* from, int rows, int columns, void* to) {
  for (int r = 0; r < rows; r += 16)
    for (int c = 0; c < columns; c += 16)
      transpose_square(static_cast<const std::uint32_t*>(from) + r * columns + c, columns,
                       static_cast<std::uint32_t*>(to) + c * rows + r, rows);
}

/// Two vectors, one after the other.
inline __m512bh rounded(Vector low, Vector high) {
  return _mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(high), reinterpret_cast<__m512>(low));
}
inline void store(std::uint32_t* to, __m512bh x) {
  _mm512_storeu_si512(to, reinterpret_cast<__m512i>(x));
}

/// Of two rows of 32 elements, the pairs that stand in one column: of even columns, then of odd
/// ones.
inline void store_column_pairs(std::uint32_t* to, __m512bh upper_row, __m512bh lower_row) {
  const auto upper = reinterpret_cast<__m512i>(upper_row),
             lower = reinterpret_cast<__m512i>(lower_row);
  constexpr __mmask32 kOdd = 0xaaaaaaaa;
  _mm512_storeu_si512(to, _mm512_mask_blend_epi16(kOdd, upper, _mm512_slli_epi32(lower, 16)));
  _mm512_storeu_si512(to + kLanes,
                      _mm512_mask_blend_epi16(kOdd, _mm512_srli_epi32(upper, 16), lower));
}

/// With pairs of elements added to each lane.
inline Vector add_pairs(Vector sum, __m512bh x) {
  const auto ones = reinterpret_cast<__m512bh>(_mm512_set1_epi32(0x3f803f80));
  return reinterpret_cast<Vector>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum), x, ones));
}

}  // namespace
}  // namespace zebra::kernels
