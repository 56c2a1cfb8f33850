#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace zebra {

/// Measures time and memory of work on one device.
///
/// On the CPU memory is the resident set of the process, whose peak the kernel keeps. From the
/// first meter on tensors keep their memory, as while training (ops/tensor_memory.h). On a GPU
/// memory is what LibTorch's allocator has handed out.
class DeviceMeter {
 public:
  explicit DeviceMeter(torch::Device device);

  torch::Device device() const { return device_; }

  /// The processor's or GPU's name.
  std::string machine() const;

  /// Waits until the device has done everything that it was asked for.
  void synchronize() const;

  /// Seconds from an idle device until it has done `work`.
  double seconds(const std::function<void()>& work) const;

  /// Bytes in use after all free memory was given back; peak_bytes() counts from here. Nothing
  /// where the system does not say.
  std::optional<std::int64_t> reset_peak_bytes() const;

  /// The most bytes in use at once since then.
  std::optional<std::int64_t> peak_bytes() const;

 private:
  torch::Device device_;
};

}  // namespace zebra
