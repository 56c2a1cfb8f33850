#pragma once

#include <torch/types.h>

#include <cstdint>

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

}  // namespace zebra
