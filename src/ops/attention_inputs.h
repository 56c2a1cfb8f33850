#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "ops/context_exchange.h"

// What attention reads: heads, their positions and their documents.

namespace zebra {

/// What a packed projection gives: q, k and v as views of one [B, T, Hq + 2 Hkv, D].
struct PackedHeads {
  torch::Tensor heads;
  std::int64_t query_heads = 0;

  std::int64_t key_heads() const { return (heads.size(2) - query_heads) / 2; }
  torch::Tensor q() const { return heads.narrow(2, 0, query_heads); }
  torch::Tensor k() const { return heads.narrow(2, query_heads, key_heads()); }
  torch::Tensor v() const { return heads.narrow(2, query_heads + key_heads(), key_heads()); }
};

/// Cosines and sines of the rotary angles of each token: [T, D / 2] or [B, T, D / 2], float32.
/// Undefined: no rotation.
struct RotaryFactors {
  torch::Tensor cos, sin;

  bool defined() const { return cos.defined(); }
};

/// Where documents lie in a batch of B sequences of T tokens. Tokens of different documents do not
/// see each other, and positions restart with each document. Without documents (`is_packed()`
/// false) every sequence is one document.
struct PackedDocuments {
  /// [B, T] int64: index in the sequence of the first token of the token's own document. Undefined
  /// when not packed.
  torch::Tensor first_token;
  /// Lengths of the documents in the order of the tokens [B, T] in memory; they add up to B * T.
  /// Empty when not packed.
  std::vector<std::int64_t> lengths;
  /// [documents + 1] int32: where each begins in that order, and B * T. Undefined when not packed.
  torch::Tensor offsets;

  bool is_packed() const { return first_token.defined(); }

  /// Of the tokens that a rank holds where several share the sequences: first_token alone.
  PackedDocuments part_of(const ContextShare& share) const;

  /// From, for each sequence, the indices (beyond 0, ascending) at which a new document begins.
  static PackedDocuments from_starts(const std::vector<std::vector<std::int64_t>>& starts,
                                     std::int64_t sequence_length);

  /// In page-locked memory, from which a copy to a GPU does not wait.
  PackedDocuments pinned() const;
  PackedDocuments to(torch::Device device) const;
};

/// What one call of our attention kernels reads.
struct AttentionInputs {
  torch::Tensor q = {};          ///< [B, T, Hq, D]; packed [B, T, Hq + 2 Hkv, D], with k and v
  torch::Tensor k = {}, v = {};  ///< [B, T, Hkv, D]; undefined when packed
  std::int64_t query_heads = 0;  ///< Hq when packed, else 0
  std::int64_t window = 0;       ///< earlier keys that a token sees
  RotaryFactors rotary = {};
  torch::Tensor first_token = {};  ///< [B, T] int64; undefined: one document per sequence

  bool is_packed() const { return query_heads > 0; }
};

/// Rotary position embedding (Su et al., arXiv 2104.09864) with the pairing (j, j + D / 2) of
/// HuggingFace's Llama:
///   out[j] = x[j] cos[j] - x[j + D/2] sin[j],   out[j + D/2] = x[j + D/2] cos[j] + x[j] sin[j].
/// x is [B, T, H, D] of any strides; computed in float32 and rounded once to x's type.
/// Differentiable in x. Returns x itself when `factors` is undefined.
torch::Tensor apply_rotary(const torch::Tensor& x, const RotaryFactors& factors);

/// Queries, keys and values for an attention kernel that does not rotate them itself.
struct RotatedHeads {
  torch::Tensor q, k;  ///< [B, T, Hq, D] and [B, T, Hkv, D]: views of one array
  torch::Tensor v;     ///< [B, T, Hkv, D], a view of the packed heads
};

/// apply_rotary of queries and keys in one pass over memory; the backward writes the gradient of
/// the packed heads in place, without joining three. Differentiable. Without factors nothing is
/// rotated.
RotatedHeads packed_rotary(const PackedHeads& packed, const RotaryFactors& factors);

}  // namespace zebra
