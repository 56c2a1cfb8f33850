#include "checkpoint/host_copy.h"

#include <torch/cuda.h>

#include <algorithm>
#include <bit>
#include <numeric>

namespace zebra {
namespace {

constexpr std::int64_t kBlockElements = std::int64_t{1} << 28;

std::int64_t power_of_two(std::int64_t elements) {
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(elements)));
}

}  // namespace

HostBlocks host_blocks(const std::vector<std::int64_t>& tensors) {
  HostBlocks blocks;
  std::vector<std::int64_t> used;  // of each block
  auto left = std::accumulate(tensors.begin(), tensors.end(), std::int64_t{0});
  for (const auto size : tensors) {
    std::size_t block = 0;
    while (block < used.size() && blocks.sizes[block] - used[block] < size) ++block;
    if (block == used.size()) {
      // Of a block that is rounded up anyway the tensors behind have the rest.
      blocks.sizes.push_back(size > kBlockElements ? power_of_two(size)
                                                   : std::min(kBlockElements, left));
      used.push_back(0);
    }
    blocks.places.push_back({block, used[block]});
    used[block] += size;
    left -= size;
  }
  return blocks;
}

void HostCopy::reserve(const std::vector<std::int64_t>& sizes, bool pinned) {
  const bool has_room =
      sizes.size() <= blocks_.size() &&
      std::equal(sizes.begin(), sizes.end(), blocks_.begin(),
                 [](std::int64_t size, const auto& block) { return size <= block.numel(); });
  if (has_room) return;
  blocks_.clear();  // before their successors are there
  for (const auto size : sizes) {
    blocks_.push_back(
        torch::empty({size}, torch::TensorOptions().dtype(torch::kFloat32).pinned_memory(pinned)));
  }
}

CheckpointContent HostCopy::of(CheckpointContent content) {
  const torch::NoGradGuard no_grad;
  std::vector<std::int64_t> tensor_sizes;
  torch::Device device = torch::kCPU;
  for (const auto& [group, tensors] : content.groups) {
    for (const auto& tensor : tensors) {
      tensor_sizes.push_back(tensor.values.numel());
      device = tensor.values.device();
    }
  }
  const auto [block_sizes, places] = host_blocks(tensor_sizes);
  reserve(block_sizes, device.is_cuda());
  auto place = places.begin();
  for (auto& [group, tensors] : content.groups) {
    for (auto& [tensor, from, values] : tensors) {
      const auto copy = blocks_[place->block].narrow(0, place->begin, values.numel());
      copy.copy_(values, /*non_blocking=*/true);
      values = copy;
      ++place;
    }
  }
  if (device.is_cuda()) torch::cuda::synchronize(device.index());
  return content;
}

}  // namespace zebra
