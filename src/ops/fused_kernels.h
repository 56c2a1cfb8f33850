#pragma once

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>

#include "zebra_kernels/adamw.h"
#include "zebra_kernels/cross_entropy.h"
#include "zebra_kernels/embedding.h"
#include "zebra_kernels/rms_norm.h"
#include "zebra_kernels/rotary.h"
#include "zebra_kernels/swiglu.h"

// The fused kernels of csrc_kernels for LibTorch's tensors: when they are used, and their launches.

namespace zebra {

/// Whether ZEBRA_KERNEL=reference in the environment switches our kernels off: every operation then
/// is the plain form in LibTorch's own operations.
bool wants_reference_kernels();

/// Whether our fused kernels are to work on tensors like x: float32 or bfloat16, on the CPU or on
/// CUDA, and not switched off.
bool uses_fused_kernels(const torch::Tensor& x);

/// float32 or bfloat16.
inline bool has_fused_type(const torch::Tensor& x) {
  return x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16;
}
inline kernels::ElementType element_type(const torch::Tensor& x) {
  TORCH_CHECK(has_fused_type(x), "our kernels take float32 and bfloat16, got ", x.scalar_type());
  return x.scalar_type() == torch::kFloat32 ? kernels::ElementType::kFloat32
                                            : kernels::ElementType::kBfloat16;
}

// Launches on the device where the arrays are: on the CPU with LibTorch's threads, on a GPU in its
// current stream. std::invalid_argument where arguments do not fit; on a GPU what lies in memory is
// not checked.

void launch(const kernels::RmsNormForward& arguments, torch::Device device);
/// Allocates the workspace itself.
void launch(kernels::RmsNormBackward arguments, torch::Device device);
void launch(const kernels::SwigluForward& arguments, torch::Device device);
void launch(const kernels::SwigluBackward& arguments, torch::Device device);
void launch(const kernels::CrossEntropy& arguments, torch::Device device);
void launch(const kernels::Rotary& arguments, torch::Device device);
void launch(const kernels::AdamwUpdate& arguments, torch::Device device);
void launch(const kernels::EmbeddingBackward& arguments, torch::Device device);

// at::parallel_for is a template of a header: without OpenMP in the file that includes it, it
// silently runs on one thread.
#ifndef _OPENMP
#error "compile with -fopenmp"
#endif

/// The ParallelFor of our CPU kernels on LibTorch's threads.
inline void parallel_tasks(std::int64_t tasks, const std::function<void(std::int64_t)>& body) {
  at::parallel_for(0, tasks, /*grain_size=*/1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) body(task);
  });
}

}  // namespace zebra
