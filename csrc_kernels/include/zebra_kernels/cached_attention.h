#pragma once

#include <cstdint>
#include <optional>

#include "zebra_kernels/local_attention.h"

namespace zebra::kernels {

// Attention of one new token per sequence to cached keys that it sees all, on the CPU: what a
// generated token costs beside the products with weights. Keys and values are read once, in the
// order of memory, whatever the number of query heads that share them.
//
// Definition, rounding and sharing of key heads are those of local_attention.h, with q and k
// already rotated; softmax weights stay float32. With a sink the softmax has one more score,
// sink[h], that no value belongs to. The same bits come out on every call and for every number of
// threads.

struct CachedAttention {
  std::int64_t batch = 0, keys = 0, query_heads = 0, key_heads = 0;
  std::int64_t head_size = 0;  // from 1
  ElementType type = ElementType::kFloat32;
  HeadArray q;                  // [batch, 1, query_heads, head_size]
  HeadArray k, v;               // [batch, keys, key_heads, head_size]
  const float* sink = nullptr;  // [query_heads]; null: none
  MutableHeadArray out;         // as q, written; must not overlap what is read
};

/// Throws std::invalid_argument with a sentence that says what is wrong, before it writes anything.
/// Where there is a sequence there must be a key. Allocates some 2 % of the bytes of the keys.
void cached_attention(const CachedAttention& arguments, const ParallelFor& parallel_for,
                      std::optional<InstructionSet> instruction_set = std::nullopt);

}  // namespace zebra::kernels
