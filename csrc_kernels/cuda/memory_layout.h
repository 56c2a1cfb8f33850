#pragma once

#include <cstddef>

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
