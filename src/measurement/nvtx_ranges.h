#pragma once

#include <torch/types.h>

#include <optional>

namespace zebra {

/// While it lives, each part of a step (ops/part_scope.h) is an NVTX range of its thread, for
/// Nsight Systems. Without such a tool a range costs nanoseconds. Nothing in a build without CUDA.
class NvtxRanges {
 public:
  NvtxRanges();
  ~NvtxRanges();
  NvtxRanges(const NvtxRanges&) = delete;
  NvtxRanges& operator=(const NvtxRanges&) = delete;

 private:
  std::optional<at::CallbackHandle> handle_;
};

}  // namespace zebra
