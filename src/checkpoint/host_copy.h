#pragma once

#include <torch/types.h>

#include "checkpoint/checkpoint.h"

namespace zebra {

/// Copies, in host memory, of tensors that are about to change. One buffer serves all copies, one
/// after the other: it grows to the largest and stays (pinned where the tensors are on a GPU).
class HostCopy {
 public:
  /// `content` with its values copied. Returns when the copies are complete; they are views of the
  /// buffer, valid until the next call.
  CheckpointContent of(CheckpointContent content);

 private:
  torch::Tensor buffer_;  // [n] float32
};

}  // namespace zebra
