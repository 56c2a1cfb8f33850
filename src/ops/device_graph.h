#pragma once

#include <torch/types.h>

#include <functional>
#include <memory>

namespace zebra {

/// Work that was recorded once and is queued again as a whole, by one call of the host. It reads
/// and writes the tensors that it was recorded with: their memory must stay where it is, and
/// whatever the host decided while it was recorded is part of it.
class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;

  /// Records what `work` queues on the device, in this thread or in autograd's; none of it is done.
  /// Once for each graph. `work` must not wait for the device, and its kernels have run before.
  virtual void record(const std::function<void()>& work) = 0;

  /// Queues the recorded work on the current stream.
  virtual void replay() = 0;
};

/// Makes graphs that are never under way at the same time: the memory that their work takes and
/// gives back is one and the same.
using DeviceGraphs = std::function<std::unique_ptr<DeviceGraph>()>;

/// CUDA graphs. Throws InputError where `device` is no GPU.
DeviceGraphs device_graphs(torch::Device device);

}  // namespace zebra
