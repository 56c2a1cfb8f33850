#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "device.h"
#include "zebra_kernels/local_attention.h"

// What all launches make of the public arguments: rows by strides, and arrays in an allocation.

namespace zebra::kernels {

/// [batch, length, heads, D]; strides in elements.
template <class Element>
struct Rows {
  Element* data = nullptr;
  std::int64_t batch_stride = 0, token_stride = 0, head_stride = 0;

  /// The row of a token in one head of one sequence.
  ZEBRA_DEVICE Element* at(int batch, int head, int token) const {
    return data + batch * batch_stride + head * head_stride + token * token_stride;
  }
};

template <class Element>
Rows<const Element> rows_of(const HeadArray& x) {
  return {static_cast<const Element*>(x.data), x.batch_stride, x.token_stride, x.head_stride};
}
template <class Element>
Rows<Element> rows_of(const MutableHeadArray& x) {
  return {static_cast<Element*>(x.data), x.batch_stride, x.token_stride, x.head_stride};
}

inline float score_scale(const LocalAttentionShape& s) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(s.head_size)));
}

/// Blocks of `rows` tokens of every head and sequence.
inline device::Grid grid_of(const LocalAttentionShape& s, std::int64_t heads, int rows) {
  return {static_cast<int>((s.length + rows - 1) / rows), static_cast<int>(heads),
          static_cast<int>(s.batch)};
}

}  // namespace zebra::kernels

namespace zebra::kernels::cuda {

/// Cuts one allocation into aligned arrays. With a null base it only counts.
class MemoryLayout {
 public:
  explicit MemoryLayout(void* base) : base_(static_cast<std::byte*>(base)) {}

  template <class T>
  T* take(std::size_t count) {
    constexpr std::size_t kAlignment = 256;
    std::byte* begin = base_ == nullptr ? nullptr : base_ + bytes_;
    bytes_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return reinterpret_cast<T*>(begin);
  }
  std::size_t bytes() const { return bytes_; }

 private:
  std::byte* base_;
  std::size_t bytes_ = 0;
};

}  // namespace zebra::kernels::cuda
