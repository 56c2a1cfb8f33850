#pragma once

#include <cstddef>

namespace zebra::kernels::emulation {

/// Pages of memory between two inaccessible ones.
class GuardedMemory {
 public:
  explicit GuardedMemory(std::size_t bytes);
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  std::byte* begin() const { return begin_; }
  std::byte* end() const { return begin_ + bytes_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_;  // whole pages
  std::byte* begin_;
};

/// The shared memory of a block: exactly so many bytes, at the end of its pages as far as the
/// alignment allows. The rest of the pages is poisoned for AddressSanitizer; without it, writes
/// there are found afterwards.
class SharedMemory {
 public:
  static constexpr std::size_t kAlignment = 128;

  explicit SharedMemory(std::size_t bytes);

  std::byte* begin() const { return begin_; }
  std::size_t bytes() const { return bytes_; }
  bool contains(const void* address, std::size_t bytes) const {
    const auto* at = static_cast<const std::byte*>(address);
    const auto* const end = begin_ + bytes_;
    return at >= begin_ && at < end && static_cast<std::size_t>(end - at) >= bytes;
  }

  /// Every byte 0xff: NaN as bfloat16 and as float32.
  void fill_with_nan();
  bool has_writes_outside() const;

 private:
  GuardedMemory pages_;
  std::size_t bytes_;
  std::byte* begin_;
};

}  // namespace zebra::kernels::emulation
