#pragma once

#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"

// How time and memory of work on a device are measured.

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

/// Adds up how long this process is at work on each part of a step (ops/part_scope.h) while it
/// lives. Where parts contain others on the same thread, each second counts for the innermost. On a
/// GPU it waits for the device at both ends of a part: parts no longer overlap, and their sum is
/// more than an undisturbed step takes. One at a time.
class PartTimes {
 public:
  explicit PartTimes(const DeviceMeter& meter);
  ~PartTimes();
  PartTimes(const PartTimes&) = delete;
  PartTimes& operator=(const PartTimes&) = delete;

  /// Seconds so far, by the names that were given to ZEBRA_PART.
  std::map<std::string, double> seconds() const;

 private:
  struct Open;
  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function);
  static void end(const at::RecordFunction& function, at::ObserverContext* context);

  static inline PartTimes* listening_ = nullptr;
  static inline thread_local Open* innermost_ = nullptr;

  const DeviceMeter& meter_;
  at::CallbackHandle handle_;
  mutable std::mutex mutex_;
  std::map<std::string, double> seconds_;
};

/// FLOP/s of the quickest of several square matrix products of the precision's type on the device:
/// what training could reach at most with the products that it calls (ops/linear.h).
double peak_matmul_flops(Precision precision, const DeviceMeter& meter);

/// Of at least one value; of an even number the mean of the middle two.
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2.0;
}

/// The median of each figure on its own. `Figures` lists its own as `std::vector<double*>
/// figures()`; there is at least one sample, and all have as many figures.
template <class Figures>
Figures median_figures(std::vector<Figures> samples) {
  Figures result = samples.front();
  const auto of_result = result.figures();
  for (std::size_t i = 0; i < of_result.size(); ++i) {
    std::vector<double> values;
    for (auto& sample : samples) values.push_back(*sample.figures()[i]);
    *of_result[i] = median(std::move(values));
  }
  return result;
}

}  // namespace zebra
