#pragma once

#include <torch/types.h>

#include "zebra_kernels/adamw.h"
#include "zebra_kernels/cross_entropy.h"
#include "zebra_kernels/embedding.h"
#include "zebra_kernels/rms_norm.h"
#include "zebra_kernels/rotary.h"
#include "zebra_kernels/swiglu.h"

namespace zebra {

// Launches of zebra_kernels' row kernels on the device where their arrays are: on the CPU with
// LibTorch's threads, on a GPU in its current stream. std::invalid_argument where arguments do not
// fit; on a GPU what lies in memory is not checked.

void launch(const kernels::RmsNormForward& arguments, torch::Device device);
/// Allocates the workspace itself.
void launch(kernels::RmsNormBackward arguments, torch::Device device);
void launch(const kernels::SwigluForward& arguments, torch::Device device);
void launch(const kernels::SwigluBackward& arguments, torch::Device device);
void launch(const kernels::CrossEntropy& arguments, torch::Device device);
void launch(const kernels::Rotary& arguments, torch::Device device);
void launch(const kernels::AdamwUpdate& arguments, torch::Device device);
void launch(const kernels::EmbeddingBackward& arguments, torch::Device device);

/// float32 or bfloat16.
kernels::ElementType element_type(const torch::Tensor& x);

}  // namespace zebra
