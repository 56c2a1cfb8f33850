#pragma once

#include <torch/types.h>

#include <tuple>

#include "ops/attention_result.h"

namespace zebra {

/// One of the fused kernels behind LibTorch's scaled_dot_product_attention as a pair of functions,
/// so that a caller can keep what the forward leaves for the backward. Causal, without dropout;
/// q [B, T, Hq, D], k and v [B, T, Hkv, D], log_sum_exp [B, Hq, T]. Neither is differentiable.
struct TorchAttentionKernel {
  AttentionResult (*forward)(const torch::Tensor& q, const torch::Tensor& k,
                             const torch::Tensor& v);
  std::tuple<torch::Tensor, torch::Tensor, torch::Tensor> (*backward)(
      const torch::Tensor& d_out, const torch::Tensor& q, const torch::Tensor& k,
      const torch::Tensor& v, const AttentionResult& result);
};

/// The kernel that scaled_dot_product_attention runs for these tensors where it needs a gradient.
/// Null where that is none of the pairs we know: FlashAttention on the CPU, FlashAttention and
/// cuDNN's on CUDA.
const TorchAttentionKernel* torch_attention_kernel(const torch::Tensor& q, const torch::Tensor& k,
                                                   const torch::Tensor& v);

}  // namespace zebra
