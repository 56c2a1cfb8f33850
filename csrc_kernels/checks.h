#pragma once

#include <stdexcept>
#include <string>

#include "zebra_kernels/local_attention.h"

namespace zebra::kernels {

inline void require(bool condition, const char* kernel, const std::string& message) {
  if (!condition) throw std::invalid_argument(std::string(kernel) + ": " + message);
}

/// Of local attention.
inline void require(bool condition, const std::string& message) {
  require(condition, "local attention", message);
}

/// What every kernel asks of a shape.
inline void check_shape(const LocalAttentionShape& s) {
  require(s.batch >= 0 && s.length >= 0, "batch and length cannot be negative, got " +
                                             std::to_string(s.batch) + " and " +
                                             std::to_string(s.length) + ".");
  require(s.query_heads > 0 && s.key_heads > 0 && s.query_heads % s.key_heads == 0,
          "the number of query heads must be a positive multiple of that of key heads, got " +
              std::to_string(s.query_heads) + " and " + std::to_string(s.key_heads) + ".");
  require(
      s.head_size >= 2 && s.head_size <= 256 && s.head_size % 2 == 0,
      "the head size must be even and between 2 and 256, got " + std::to_string(s.head_size) + ".");
  require(s.window >= 0, "a window cannot be negative, got " + std::to_string(s.window) + ".");
}

/// What every kernel asks of the pointers, when there is a token.
inline void check_pointers(const LocalAttentionInputs& inputs) {
  require(inputs.q.data != nullptr && inputs.k.data != nullptr && inputs.v.data != nullptr,
          "q, k and v must not be null.");
  require((inputs.rotary.cos == nullptr) == (inputs.rotary.sin == nullptr),
          "rotary cosines and sines must be given together.");
}

}  // namespace zebra::kernels
