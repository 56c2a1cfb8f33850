#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace zebra {

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

  bool is_packed() const { return first_token.defined(); }

  /// From, for each sequence, the indices (beyond 0, ascending) at which a new document begins.
  static PackedDocuments from_starts(const std::vector<std::vector<std::int64_t>>& starts,
                                     std::int64_t sequence_length);

  PackedDocuments to(torch::Device device) const;
};

}  // namespace zebra
