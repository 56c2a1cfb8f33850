#pragma once

#include <torch/types.h>

#include <cstdint>

namespace zebra {

/// Rotated keys and values of one layer during generation: the last `capacity` tokens, in a ring. A
/// local layer needs its window + 1; a global layer as many as the text grows long. Attention of
/// one new token does not care for their order.
class KeyValueCache {
 public:
  explicit KeyValueCache(std::int64_t capacity) : capacity_(capacity) {}

  /// Adds tokens, k and v [B, T, Hkv, D]; of more than `capacity` only the last are kept.
  void append(const torch::Tensor& k, const torch::Tensor& v);

  bool empty() const { return tokens_seen_ == 0; }
  std::int64_t size() const { return std::min(tokens_seen_, capacity_); }

  /// [B, size(), Hkv, D], views.
  torch::Tensor keys() const { return keys_.narrow(1, 0, size()); }
  torch::Tensor values() const { return values_.narrow(1, 0, size()); }

  std::int64_t bytes() const;

 private:
  std::int64_t capacity_;
  std::int64_t tokens_seen_ = 0;
  torch::Tensor keys_, values_;
};

}  // namespace zebra
