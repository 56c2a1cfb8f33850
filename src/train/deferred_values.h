#pragma once

#include <torch/types.h>

#include <optional>
#include <vector>

namespace zebra {

/// Numbers that a device is still to compute. The host asks for the copy when it has queued the
/// work that makes them, goes on, and reads them later.
class DeferredValues {
 public:
  /// `values` [n] float64 on any device.
  explicit DeferredValues(const torch::Tensor& values);

  /// Waits until the device has come to the copy, however much was queued behind it.
  std::vector<double> get() const;

 private:
  torch::Tensor on_host_;
  std::optional<c10::Event> copied_;  // none on the CPU
};

}  // namespace zebra
