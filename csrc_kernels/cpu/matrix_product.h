#pragma once

// Products of small packed matrices, C [8 x N] += A [8 x K] B [K x N], by register blocks.
//
// A packed matrix is made of 32-bit words: one float32, or two bfloat16 that are neighbours along
// the contracted dimension. B is [K words][N]; of A only single words are read, at any strides.

#include "vector.h"

namespace zebra::kernels {
namespace {

constexpr int kBlockRows = 8;

/// float32 words: multiply-add.
struct FloatProduct {
  using Word = float;
  static constexpr int kElements = 1;  // contracted elements of one word
  static constexpr bool kExactExp = true;

  using Operand = Vector;
  static Operand load_words(const Word* from) { return load(from); }
  static Operand broadcast_word(Word x) { return broadcast(x); }
  static Vector multiply_add(Vector sum, Operand a, Operand b) { return sum + a * b; }

  /// Writes kLanes values as elements [column, column + kLanes) of a row.
  static void store_row(Word* row, int column, Vector x) { store(row + column, x); }
  /// Writes kLanes columns of row `row` and the next one, [rows / kElements][ld] words.
  static void store_two_rows(Word* to, int row, int ld, Vector even, Vector odd) {
    store(to + row * ld, even);
    store(to + (row + 1) * ld, odd);
  }
};

#ifdef __AVX512BF16__
/// Words of two bfloat16, multiplied and added in pairs by vdpbf16ps.
struct Bfloat16Product {
  using Word = std::uint32_t;
  static constexpr int kElements = 2;
  static constexpr bool kExactExp = false;

  using Operand = __m512bh;
  static Operand load_words(const Word* from) {
    return reinterpret_cast<__m512bh>(_mm512_loadu_si512(from));
  }
  static Operand broadcast_word(Word x) {
    return reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(x)));
  }
  static Vector multiply_add(Vector sum, Operand a, Operand b) {
    return reinterpret_cast<Vector>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum), a, b));
  }

  /// Element i of the lower half, then element i of the upper one, for each i.
  alignas(64) static constexpr std::uint16_t kInterleaved[2 * kLanes] = {
      0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};

  static void store_row(Word* row, int column, Vector x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + column / 2),
                        reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(x))));
  }
  static void store_two_rows(Word* to, int row, int ld, Vector even, Vector odd) {
    const auto halves = reinterpret_cast<__m512i>(
        _mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(odd), reinterpret_cast<__m512>(even)));
    _mm512_storeu_si512(to + row / 2 * ld,
                        _mm512_permutexvar_epi16(_mm512_load_si512(kInterleaved), halves));
  }
};
#endif

/// Words of A: element (row, k) is data[row * row_stride + k * k_stride].
template <class Product>
struct LeftOperand {
  const typename Product::Word* data;
  std::int64_t row_stride, k_stride;
};

/// kRows of C, kVectors wide. The more sums it keeps, the better it hides the latency of adding to
/// one.
template <class Product, int kRows, int kVectors, bool kAccumulate>
__attribute__((noinline)) void multiply_block(LeftOperand<Product> a,
                                              const typename Product::Word* b, std::int64_t ldb,
                                              int depth, float* c, std::int64_t ldc) {
  Vector sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j)
      sum[i][j] = kAccumulate ? load(c + i * ldc + j * kLanes) : Vector{};
  }
  for (int k = 0; k < depth; ++k) {
    typename Product::Operand right[kVectors];
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) right[j] = Product::load_words(b + k * ldb + j * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const auto left = Product::broadcast_word(a.data[i * a.row_stride + k * a.k_stride]);
#pragma GCC unroll 16
      for (int j = 0; j < kVectors; ++j)
        sum[i][j] = Product::multiply_add(sum[i][j], left, right[j]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) store(c + i * ldc + j * kLanes, sum[i][j]);
  }
}

/// kBlockRows of C, kVectors wide, in as few register blocks as the registers allow.
template <class Product, int kVectors, bool kAccumulate>
inline void multiply_columns(LeftOperand<Product> a, const typename Product::Word* b,
                             std::int64_t ldb, int depth, float* c, std::int64_t ldc) {
  constexpr int kRows = kSums / kVectors >= kBlockRows ? kBlockRows : kBlockRows / 2;
  for (int row = 0; row < kBlockRows; row += kRows) {
    multiply_block<Product, kRows, kVectors, kAccumulate>(a, b, ldb, depth, c + row * ldc, ldc);
    a.data += kRows * a.row_stride;
  }
}

/// kBlockRows of C, `columns` (a multiple of kLanes) wide, over `depth` words.
template <class Product, bool kAccumulate>
inline void multiply_rows(LeftOperand<Product> a, const typename Product::Word* b, std::int64_t ldb,
                          int depth, int columns, float* c, std::int64_t ldc) {
  constexpr int kWidest = 2 * kSums / kBlockRows;  // vectors
  int column = 0;
  for (; column + kWidest * kLanes <= columns; column += kWidest * kLanes)
    multiply_columns<Product, kWidest, kAccumulate>(a, b + column, ldb, depth, c + column, ldc);
  const int rest = (columns - column) / kLanes;
  if (rest == 1)
    multiply_columns<Product, 1, kAccumulate>(a, b + column, ldb, depth, c + column, ldc);
  if constexpr (kWidest > 2) {
    if (rest == 2)
      multiply_columns<Product, 2, kAccumulate>(a, b + column, ldb, depth, c + column, ldc);
    if (rest == 3)
      multiply_columns<Product, 3, kAccumulate>(a, b + column, ldb, depth, c + column, ldc);
  }
}

}  // namespace
}  // namespace zebra::kernels
