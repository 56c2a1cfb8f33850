#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace zebra::bench {

/// Measures work on the processor or on a GPU.
class Device {
 public:
  virtual ~Device() = default;

  /// The model's name.
  virtual std::string name() const = 0;

  /// Seconds that one call of `work` takes.
  virtual double seconds(const std::function<void()>& work) const = 0;

  /// Bytes in use after everything that is free was given back; later peaks count from now.
  virtual std::int64_t reset_peak_bytes() = 0;

  /// The most bytes in use at once since then.
  virtual std::int64_t peak_bytes() = 0;
};

/// Wall-clock time of one call. From its creation on malloc keeps what is freed: else large results
/// would come as fresh pages each time, whose faults cost up to a tenth of a backward and fall on
/// all competitors by chance. Memory is the resident set of the process (VmRSS), its peak the
/// kernel's own mark (VmHWM), set back through /proc/self/clear_refs: exact to some pages per
/// processor, and it needs no second process, which would have to start LibTorch's threads again.
std::unique_ptr<Device> cpu_device();

/// CUDA events around as many calls as take some 20 ms, so that the time of starting the work does
/// not count where the GPU is kept busy. Memory is what LibTorch's allocator has handed out.
std::unique_ptr<Device> cuda_device();

}  // namespace zebra::bench
