#pragma once

#include <cstdint>

#include "zebra_kernels/local_attention.h"

namespace zebra::kernels {

/// Tokens of one tile, queries and keys alike.
constexpr int kTile = 64;

/// How a problem is cut. It depends on the shape alone: the number of threads never changes a bit.
struct LocalAttentionPlan {
  std::int64_t tiles = 0;         // of one sequence
  std::int64_t window_tiles = 0;  // key tiles before its own that a query tile may reach
  std::int64_t chunk_tiles = 0;   // query tiles of one task, >= window_tiles
  std::int64_t chunks = 0;        // of one sequence
  std::int64_t padded_head = 0;   // head_size rounded up to a multiple of 16
};

/// Where a chunk of queries ends, the key tiles behind it get gradients from two tasks. Each leaves
/// its part in the workspace: [batch, key_heads, chunks - 1, 2, window_tiles, 2 (dk, dv), kTile,
/// padded_head] float32.
inline std::int64_t partial_floats(const LocalAttentionPlan& plan) {
  return 2 * kTile * plan.padded_head;
}

/// The tasks of one instruction set. Task numbers: ((batch x key_heads) + key_head) x chunks +
/// chunk; for `join`, (((batch x key_heads) + key_head) x (chunks - 1) + boundary) x window_tiles +
/// tile.
struct KernelTable {
  void (*forward)(const LocalAttentionForward&, const LocalAttentionPlan&, std::int64_t task);
  void (*backward)(const LocalAttentionBackward&, const LocalAttentionPlan&, std::int64_t task);
  void (*join)(const LocalAttentionBackward&, const LocalAttentionPlan&, std::int64_t task);
};

// By element type: [0] float32, [1] bfloat16. An instruction set that this build's compiler or
// architecture lacks is absent: see ZEBRA_KERNELS_X86.
const KernelTable* portable_kernels();
const KernelTable* avx2_kernels();
const KernelTable* avx512_kernels();
const KernelTable* avx512_bf16_kernels();

}  // namespace zebra::kernels
