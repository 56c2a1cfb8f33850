#pragma once

#include <torch/types.h>

namespace zebra {

/// Whether ZEBRA_KERNEL=reference in the environment switches our kernels off: every operation then
/// is the plain form in LibTorch's own operations.
bool wants_reference_kernels();

/// Whether our row kernels (row_kernels.h) are to work on tensors like x: float32 or bfloat16, on
/// the CPU or on CUDA, and not switched off.
bool uses_row_kernels(const torch::Tensor& x);

}  // namespace zebra
