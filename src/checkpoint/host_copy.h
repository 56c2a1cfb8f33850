#pragma once

#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace zebra {

/// Blocks of host memory for tensors of given sizes, each of which lies in one piece in one of
/// them. Sizes are in float32 elements.
struct HostBlocks {
  struct Place {
    std::size_t block;
    std::int64_t begin;
  };

  std::vector<std::int64_t> sizes;  ///< of the blocks
  std::vector<Place> places;        ///< of the tensors, in their order
};

/// LibTorch rounds page-locked memory up to a power of two: one buffer for the state of a model of
/// 7B, 81 GB, would take 137. So what does not fit into 1 GiB lies in blocks of that, or of the
/// next power of two where a single tensor is larger, and at most one block is not of such a size.
HostBlocks host_blocks(const std::vector<std::int64_t>& tensors);

/// Copies, in host memory, of tensors that are about to change. The same blocks serve all copies,
/// one after the other: they grow to the largest and stay (pinned where the tensors are on a GPU).
class HostCopy {
 public:
  /// `content` with its values copied. Returns when the copies are complete; they are views of the
  /// blocks, valid until the next call.
  CheckpointContent of(CheckpointContent content);

 private:
  void reserve(const std::vector<std::int64_t>& sizes, bool pinned);

  std::vector<torch::Tensor> blocks_;  // [n] float32
};

}  // namespace zebra
