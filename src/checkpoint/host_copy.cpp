#include "checkpoint/host_copy.h"

#include <torch/cuda.h>

namespace zebra {

CheckpointContent HostCopy::of(CheckpointContent content) {
  const torch::NoGradGuard no_grad;
  std::int64_t elements = 0;
  torch::Device device = torch::kCPU;
  for (const auto& [group, tensors] : content.groups) {
    for (const auto& tensor : tensors) {
      elements += tensor.values.numel();
      device = tensor.values.device();
    }
  }
  if (!buffer_.defined() || buffer_.numel() < elements) {
    buffer_.reset();  // before its successor is there
    buffer_ = torch::empty(
        {elements}, torch::TensorOptions().dtype(torch::kFloat32).pinned_memory(device.is_cuda()));
  }
  std::int64_t begin = 0;
  for (auto& [group, tensors] : content.groups) {
    for (auto& [tensor, from, values] : tensors) {
      const auto copy = buffer_.narrow(0, begin, values.numel());
      copy.copy_(values, /*non_blocking=*/true);
      begin += values.numel();
      values = copy;
    }
  }
  if (device.is_cuda()) torch::cuda::synchronize(device.index());
  return content;
}

}  // namespace zebra
