#pragma once

// How hopper_primitives asks and answers. Each group of questions runs in a process of its own: an
// illegal instruction or address in one leaves the others alone.

#include <cstdint>
#include <string>
#include <vector>

#include "gpu/gpu_check.h"

namespace zebra::hopper {

/// Prints "right: WHAT" or "wrong: WHAT"; the process ends with 1 once anything was wrong.
void answer(const std::string& what, bool right);
/// Prints "measured: WHAT: VALUE UNIT".
void measured(const std::string& what, double value, const std::string& unit);
/// Prints "note: WHAT: yes" or "no": a reading of the manual that is not ours.
void note(const std::string& what, bool holds);

// The groups.
void ask_barriers();
void ask_copies();
void ask_products();
void ask_registers();
void measure_rates();

/// Device memory of `count` elements.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count) : count_(count) {
    kernels::testing::check_cuda(cudaMalloc(&data_, count * sizeof(T)));
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    kernels::testing::check_cuda(
        cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data_); }

  T* data() const { return data_; }
  /// Waits for the device.
  std::vector<T> values() const {
    std::vector<T> values(count_);
    kernels::testing::check_cuda(
        cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  std::size_t count_;
  T* data_ = nullptr;
};

/// Small whole numbers, whose products and sums are exact in bfloat16 and float32.
inline std::vector<float> small_numbers(std::size_t count, std::uint32_t seed) {
  std::vector<float> values(count);
  for (auto& value : values) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int>(seed >> 28) - 8);
  }
  return values;
}
inline std::vector<std::uint16_t> as_bfloat16(const std::vector<float>& values) {
  std::vector<std::uint16_t> bits(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint32_t word;
    static_assert(sizeof word == sizeof values[i]);
    __builtin_memcpy(&word, &values[i], 4);
    bits[i] = static_cast<std::uint16_t>(word >> 16);
  }
  return bits;
}

}  // namespace zebra::hopper
