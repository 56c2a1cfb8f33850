#pragma once

#include <torch/cuda.h>

#include "support/catch.h"

namespace zebra::testing {

/// For tests marked [cuda]: the current one fails, and says so, where there is no GPU.
inline void require_gpu() {
  if (!torch::cuda::is_available()) FAIL("there is no GPU");
}

}  // namespace zebra::testing
