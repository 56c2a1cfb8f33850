#pragma once

#include <cstdint>
#include <optional>

#include "zebra_kernels/adamw.h"
#include "zebra_kernels/cached_attention.h"
#include "zebra_kernels/cross_entropy.h"
#include "zebra_kernels/embedding.h"
#include "zebra_kernels/local_attention.h"
#include "zebra_kernels/rms_norm.h"
#include "zebra_kernels/rotary.h"
#include "zebra_kernels/swiglu.h"

namespace zebra::kernels {

/// Tokens of one tile, queries and keys alike.
constexpr int kTile = 64;
static_assert(kQueryUnit % kTile == 0);

/// How a problem is cut. It depends on the shape alone: the number of threads never changes a bit.
struct LocalAttentionPlan {
  std::int64_t tiles = 0;         // of one sequence
  std::int64_t first_tile = 0;    // of queries
  std::int64_t window_tiles = 0;  // key tiles before its own that a query tile may reach
  std::int64_t chunk_tiles = 0;   // query tiles of one task, >= window_tiles
  std::int64_t chunks = 0;        // of one sequence's queries
  std::int64_t padded_head =
      0;  // head_size rounded up to a multiple of KernelTable::attention_head_unit
};

/// With heads padded to a multiple of head_unit.
LocalAttentionPlan local_attention_plan(const LocalAttentionShape& shape, std::int64_t head_unit);

/// Where a chunk of queries ends, the key tiles behind it get gradients from two tasks. Each leaves
/// its part in the workspace: [batch, key_heads, chunks - 1, 2, window_tiles, 2 (dk, dv), kTile,
/// padded_head] float32.
static inline std::int64_t partial_floats(const LocalAttentionPlan& plan) {
  return 2 * kTile * plan.padded_head;
}

constexpr std::int64_t kLargestHeadUnit = 32;

/// A half-open range: of rows, of elements, of columns.
struct Span {
  std::int64_t begin = 0, end = 0;
};

/// Columns of RMSNorm's partial weight gradients are padded to a multiple of this, twice the lanes
/// of the widest vector.
constexpr std::int64_t kColumnUnit = 32;

/// What a partial weight gradient needs of its workspace: [blocks, padded_width] float32, columns
/// in the order of the vectors (see Pair).
static inline std::int64_t padded_width(std::int64_t width) {
  return (width + kColumnUnit - 1) / kColumnUnit * kColumnUnit;
}

/// Keys whose scores CachedAttention holds at a time, a multiple of every vector.
constexpr std::int64_t kCachedTile = 64;

/// What a block of keys gives a query head: the weighted sum of values, the largest score (in
/// powers of two) and the sum of the weights beside it.
static inline std::int64_t cached_partial_floats(std::int64_t head_size) {
  return padded_width(head_size) + 2;
}

/// That of all heads, and behind it the task's room for queries and scores.
static inline std::int64_t cached_task_floats(const CachedAttention& a) {
  return a.query_heads *
         (cached_partial_floats(a.head_size) + padded_width(a.head_size) + kCachedTile);
}

/// One task of each kernel, of one instruction set and element type.
struct KernelTable {
  // Local attention. Task numbers: ((batch x key_heads) + key_head) x chunks + chunk; for the join,
  // (((batch x key_heads) + key_head) x (chunks - 1) + boundary) x window_tiles + tile.
  void (*attention_forward)(const LocalAttentionForward&, const LocalAttentionPlan&,
                            std::int64_t task);
  void (*attention_backward)(const LocalAttentionBackward&, const LocalAttentionPlan&,
                             std::int64_t task);
  void (*attention_join)(const LocalAttentionBackward&, const LocalAttentionPlan&,
                         std::int64_t task);
  /// What heads are padded to a multiple of, at most kLargestHeadUnit.
  std::int64_t attention_head_unit;

  void (*rms_norm_forward)(const RmsNormForward&, Span rows);
  /// `partial` [padded_width]: the part of d_weight that comes from these rows, written.
  void (*rms_norm_backward)(const RmsNormBackward&, Span rows, float* partial);
  /// d_weight of some columns (begin a multiple of kColumnUnit) from the parts of all blocks.
  void (*rms_norm_join)(const RmsNormBackward&, Span columns, std::int64_t blocks);
  void (*swiglu_forward)(const SwigluForward&, Span rows);
  void (*swiglu_backward)(const SwigluBackward&, Span rows);
  void (*cross_entropy)(const CrossEntropy&, Span rows);
  void (*adamw_update)(const AdamwUpdate&, Span elements);
  /// Of the tokens whose first position lies in `positions`, all their rows.
  void (*embedding_backward)(const EmbeddingBackward&, Span positions, Span columns);
  /// Of one sequence, a block of its keys; `partial` [cached_task_floats] is written.
  void (*cached_attention)(const CachedAttention&, std::int64_t sequence, Span keys,
                           float* partial);
  /// `partials`: of all blocks of the sequence.
  void (*cached_attention_join)(const CachedAttention&, std::int64_t sequence, std::int64_t blocks,
                                const float* partials);
  /// Tokens are counted through all sequences.
  void (*rotary)(const Rotary&, Span tokens);
};

/// The kernels of an instruction set, the fastest unless one is named. std::invalid_argument with
/// the name of the `kernel` where this processor or build lacks it.
const KernelTable& kernel_table(const char* kernel, std::optional<InstructionSet> wanted,
                                ElementType type);

// By element type: [0] float32, [1] bfloat16. instruction_set_kernels.cpp is compiled once for
// each; what this build's compiler or architecture lacks is absent (ZEBRA_KERNELS_X86).
const KernelTable* portable_kernels();
const KernelTable* avx2_kernels();
const KernelTable* avx512_kernels();
const KernelTable* avx512_bf16_kernels();
const KernelTable* amx_bf16_kernels();

}  // namespace zebra::kernels
