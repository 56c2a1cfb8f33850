#pragma once

#include <cstdint>

#include "../arguments.h"

// What the Ampere kernels are launched with. Tokens are int: a sequence has fewer than 2^31.

namespace zebra::kernels::ampere {

/// Tokens are padded to a multiple of this in everything that one kernel writes for another.
inline constexpr int kPaddedTokens = 128;
/// The tokens that share one VisibleBounds.
inline constexpr int kBoundedTokens = 32;

/// Of bfloat16; strides are multiples of 8, rows aligned to 16 bytes.
using InputRows = Rows<const std::uint16_t>;
using OutputRows = Rows<std::uint16_t>;

struct Extent {
  int length = 0, padded_length = 0;
  int query_heads = 0, key_heads = 0, group = 0;  // group = query_heads / key_heads
  int window = 0;                                 // at most length
  float scale = 0.0F;                             // 1 / sqrt(D)

  /// The first row of a sequence, or of a head of a sequence, in an array of padded_length rows
  /// each.
  ZEBRA_DEVICE std::int64_t padded_row(int sequence) const {
    return static_cast<std::int64_t>(sequence) * padded_length;
  }
};

/// Of up to 32 neighbouring tokens, the smallest and the largest first visible key. Of none:
/// INT_MAX and 0.
struct alignas(8) VisibleBounds {
  int smallest, largest;
};

/// Written by the prepare kernel, read by all others.
struct Prepared {
  std::uint16_t* keys =
      nullptr;               // rotated [batch, key_heads, padded_length, D]; zeros beyond length
  int* first_key = nullptr;  // [batch, padded_length]; INT_MAX beyond length
  VisibleBounds* bounds = nullptr;  // [batch, padded_length / 32]

  template <int D>
  ZEBRA_DEVICE std::uint16_t* key_rows(const Extent& extent, int batch, int key_head,
                                       int first) const {
    return keys + (extent.padded_row(batch * extent.key_heads + key_head) + first) * D;
  }
};

struct PrepareParameters {
  Extent extent;
  InputRows k;
  RotaryTable rotary;  // aligned to 16 bytes, strides multiples of 4
  const std::int64_t* first_token = nullptr;
  Prepared prepared;
};

struct ForwardParameters {
  Extent extent;
  InputRows q, v;
  RotaryTable rotary;  // aligned to 16 bytes, strides multiples of 4
  Prepared prepared;
  OutputRows out;
  float* log_sum_exp = nullptr;  // [batch, query_heads, length] or null
};

/// Of a query: log2 of its softmax denominator (its weights are exp2(score log2(e) - this);
/// infinite beyond length) and the dot product of its output and the output's gradient.
struct alignas(8) QueryStatistics {
  float log2_sum_exp, delta;
};

/// Written by the query gradient kernel, read by the key and value gradient kernel.
struct PreparedQueries {
  std::uint16_t* queries =
      nullptr;  // rotated [batch, query_heads, padded_length, D]; zeros beyond length
  QueryStatistics* statistics = nullptr;  // [batch, query_heads, padded_length]

  template <int D>
  ZEBRA_DEVICE std::uint16_t* query_rows(const Extent& extent, int batch, int head,
                                         int first) const {
    return queries + (extent.padded_row(batch * extent.query_heads + head) + first) * D;
  }
  ZEBRA_DEVICE QueryStatistics* statistics_of(const Extent& extent, int batch, int head,
                                              int first) const {
    return statistics + extent.padded_row(batch * extent.query_heads + head) + first;
  }
};

struct QueryGradientParameters {
  Extent extent;
  InputRows q, v, out, d_out;
  RotaryTable rotary;  // aligned to 16 bytes, strides multiples of 4
  Prepared prepared;
  const float* log_sum_exp = nullptr;
  PreparedQueries prepared_queries;
  OutputRows dq;
};

struct KeyValueGradientParameters {
  Extent extent;
  InputRows v, d_out;
  RotaryTable rotary;  // aligned to 16 bytes, strides multiples of 4
  Prepared prepared;
  PreparedQueries prepared_queries;
  OutputRows dk, dv;
};

}  // namespace zebra::kernels::ampere
