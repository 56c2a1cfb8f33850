#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "zebra_kernels/kernel.h"

namespace zebra::kernels {

// Causal attention inside a window, with rotary embedding, forward and backward, on the CPU. Plain
// C++20: no tensor library, no threading library.
//
// Definition. Token t of sequence b sees the keys max(t - window, first_token[b][t]) .. t: itself
// and up to `window` earlier tokens of its document. With q' and k' the rotated queries and keys,
// query head h and its key head g = h / (query_heads / key_heads):
//   score[t, s] = q'[t, h] . k'[s, g] / sqrt(head_size)        over the visible keys s
//   out[t, h]   = sum_s softmax(score[t])[s] v[s, g]
//   log_sum_exp[t, h] = ln(sum_s exp(score[t, s]))             natural logarithm
// The backward gives the derivatives of sum(out * d_out) with respect to the unrotated q, k and v;
// dk and dv are summed over the query heads that share a key head.
//
// Rounding. Sums, softmax and rotation are in float32 and each result is rounded once to the
// element type, to nearest even. With bfloat16 elements and avx512_bf16 or amx_bf16 the rotated
// q and k, the softmax weights and the score gradients are rounded to bfloat16 before they enter a
// matrix product (subnormals count as zero there); elsewhere they stay float32. The same bits come
// out on every call and for every number of threads; different instruction sets differ in rounding.
//
// A non-finite row of q, k, v or d_out reaches no other sequence, no head that does not use it, and
// only tiles of 64 tokens that meet the tile that holds it inside the window.
//
// Cost. O(length x window) time. Memory beside the arguments: see
// local_attention_backward_workspace_bytes, and scratch of O(window x head_size) for each running
// task, which the kernel allocates (std::bad_alloc) and frees itself.

/// Where the first queries of a sequence may be missing (query_begin), they are so by a multiple of
/// this.
inline constexpr std::int64_t kQueryUnit = 64;

/// An array [batch, length, heads, head_size] in the caller's memory; elements of one head are
/// contiguous. Strides count elements, so that a slice of a packed projection is used in place.
struct HeadArray {
  const void* data = nullptr;
  std::int64_t batch_stride = 0, token_stride = 0, head_stride = 0;
};
struct MutableHeadArray {
  void* data = nullptr;
  std::int64_t batch_stride = 0, token_stride = 0, head_stride = 0;
};

/// Cosines and sines [batch, length, head_size / 2], float32, innermost contiguous; batch_stride 0
/// shares one table [length, head_size / 2]. Rotation of x with the pairing (j, j + head_size / 2):
///   x'[j] = x[j] cos[j] - x[j + half] sin[j],   x'[j + half] = x[j + half] cos[j] + x[j] sin[j].
/// Null pointers: no rotation.
struct RotaryTable {
  const float* cos = nullptr;
  const float* sin = nullptr;
  std::int64_t batch_stride = 0, token_stride = 0;
};

struct LocalAttentionShape {
  std::int64_t batch = 0, length = 0, query_heads = 0, key_heads = 0;
  std::int64_t head_size = 0;  // even, 2 .. 256
  std::int64_t window = 0;     // earlier keys that a token sees, >= 0
  ElementType type = ElementType::kFloat32;
  /// The first token that has a query, a multiple of kQueryUnit; those before are keys alone. q,
  /// out, log_sum_exp, d_out and dq hold length - query_begin tokens then. Always 0 on CUDA.
  std::int64_t query_begin = 0;

  std::int64_t queries() const { return length - query_begin; }
};

struct LocalAttentionInputs {
  LocalAttentionShape shape;
  HeadArray q, k, v;
  RotaryTable rotary;
  /// [batch, length] contiguous, each between 0 and its own token's index: where the token's
  /// document begins. Null: one document per sequence.
  const std::int64_t* first_token = nullptr;
};

/// Writes every element of `out` and `log_sum_exp`, which must not overlap the inputs.
struct LocalAttentionForward {
  LocalAttentionInputs inputs;
  MutableHeadArray out;          // [batch, queries(), query_heads, head_size]
  float* log_sum_exp = nullptr;  // [batch, query_heads, queries()] contiguous; null: not wanted
};

/// Writes every element of dq, dk and dv, which must not overlap each other or anything read.
struct LocalAttentionBackward {
  LocalAttentionInputs inputs;
  HeadArray out;                       // of the forward
  const float* log_sum_exp = nullptr;  // of the forward
  /// Whether log_sum_exp and out count an attention sink beside the keys: weights are
  /// exp(score - log_sum_exp) and need not add up to 1. Without one the weight of a key that its
  /// query sees alone is 1 whatever the score, and gives exactly no gradient.
  bool has_sink = false;
  HeadArray d_out;              // [batch, queries(), query_heads, head_size]
  MutableHeadArray dq, dk, dv;  // shaped as q, k and v
  /// local_attention_backward_workspace_bytes(shape) bytes, aligned to 64; contents do not matter
  /// before or after. Null only where that number is 0.
  void* workspace = nullptr;
};

/// Grows linearly with batch x length, never with window x length. std::invalid_argument for an
/// impossible shape.
std::size_t local_attention_backward_workspace_bytes(const LocalAttentionShape& shape);

/// Both throw std::invalid_argument with a sentence that says what is wrong, before they write
/// anything. An empty batch or length is valid and does nothing.
void local_attention_forward(const LocalAttentionForward& arguments,
                             const ParallelFor& parallel_for,
                             std::optional<InstructionSet> instruction_set = std::nullopt);
void local_attention_backward(const LocalAttentionBackward& arguments,
                              const ParallelFor& parallel_for,
                              std::optional<InstructionSet> instruction_set = std::nullopt);

}  // namespace zebra::kernels
