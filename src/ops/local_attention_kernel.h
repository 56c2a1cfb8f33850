#pragma once

#include <torch/types.h>

#include <cstdint>

#include "zebra_kernels/local_attention.h"

namespace zebra {

// From tensors to kernel launches. Arguments have been checked; undefined tensors are absent.

struct LocalAttentionArguments {
  torch::Tensor q, k, v;
  std::int64_t window = 0;
  torch::Tensor cos, sin, first_token;
};

struct LocalAttentionOutputs {
  torch::Tensor out, log_sum_exp;
  torch::Tensor saved;    // what the kernel leaves for its backward, uint8
  bool has_sink = false;  // see kernels::LocalAttentionBackward
};

struct LocalAttentionGradients {
  torch::Tensor dq, dk, dv;  // allocated by the caller, of any strides that the kernel can write
};

/// Describes tensors to a kernel; they must outlive the call.
kernels::LocalAttentionInputs kernel_inputs(const LocalAttentionArguments& arguments);
kernels::HeadArray kernel_input(const torch::Tensor& x);
kernels::MutableHeadArray kernel_output(const torch::Tensor& x);

namespace cpu {
bool has_local_attention(std::int64_t head_size);
/// The tensor, or a copy that the kernel can read in place.
torch::Tensor readable(const torch::Tensor& x);
std::int64_t saved_bytes(const kernels::LocalAttentionShape& shape);
void forward(const LocalAttentionArguments& arguments, const LocalAttentionOutputs& outputs);
void backward(const LocalAttentionArguments& arguments, const LocalAttentionOutputs& outputs,
              const torch::Tensor& d_out, const LocalAttentionGradients& gradients);
}  // namespace cpu

namespace cuda {
bool has_local_attention(std::int64_t head_size);
torch::Tensor readable(const torch::Tensor& x);
std::int64_t saved_bytes(const kernels::LocalAttentionShape& shape);
void forward(const LocalAttentionArguments& arguments, const LocalAttentionOutputs& outputs);
void backward(const LocalAttentionArguments& arguments, const LocalAttentionOutputs& outputs,
              const torch::Tensor& d_out, const LocalAttentionGradients& gradients);
}  // namespace cuda

}  // namespace zebra
