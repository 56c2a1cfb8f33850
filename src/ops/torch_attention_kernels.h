#pragma once

#include <torch/types.h>

#include <tuple>

#include "ops/attention_inputs.h"
#include "ops/attention_operator.h"

// The fused kernels behind LibTorch's scaled_dot_product_attention as pairs of functions, so that a
// caller can keep what the forward leaves for the backward.

namespace zebra {

/// Causal, without dropout; q [B, T, Hq, D], k and v [B, T, Hkv, D] of any strides. Neither
/// function is differentiable. `backward` takes a result that `forward` of the same pair has made.
struct TorchAttentionKernel {
  using Gradients = std::tuple<torch::Tensor, torch::Tensor, torch::Tensor>;

  AttentionResult (*forward)(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                             const PackedDocuments& documents);
  Gradients (*backward)(const torch::Tensor& d_out, const torch::Tensor& q, const torch::Tensor& k,
                        const torch::Tensor& v, const AttentionResult& result,
                        const PackedDocuments& documents);
};

/// The kernel for the whole batch where it needs a gradient: what scaled_dot_product_attention
/// runs, and on a GPU FlashAttention for sequences of any lengths where documents are packed.
/// cuDNN's builds a plan of some ten to hundreds of milliseconds for every new length and keeps it
/// for ever, so it is for whole sequences alone, which all have one length. Null where
/// scaled_dot_product_attention would run none of the pairs that we know.
const TorchAttentionKernel* torch_attention_kernel(const torch::Tensor& q, const torch::Tensor& k,
                                                   const torch::Tensor& v,
                                                   const PackedDocuments& documents);

/// The pair that made a result; not for AttentionKernel::ours.
const TorchAttentionKernel& torch_attention_kernel(AttentionKernel kernel);

/// While one lives scaled_dot_product_attention does not run cuDNN's kernel: for calls whose
/// lengths are ever new. A setting of the whole process, to be used from one thread.
class WithoutCudnnAttention {
 public:
  WithoutCudnnAttention();
  ~WithoutCudnnAttention();
  WithoutCudnnAttention(const WithoutCudnnAttention&) = delete;
  WithoutCudnnAttention& operator=(const WithoutCudnnAttention&) = delete;

 private:
  bool was_enabled_;
};

/// cached_attention (attention.h) in LibTorch's operations, on any device.
torch::Tensor plain_cached_attention(const torch::Tensor& q, const torch::Tensor& k,
                                     const torch::Tensor& v, const torch::Tensor& sink = {});

/// A document is a contiguous piece of the token stream: x [B, T, H, D] as one [1, length, H, D]
/// for each, or whole where there are none, so that the work is the sum of their squares. The
/// gradient is one concatenation.
std::vector<torch::Tensor> by_document(const torch::Tensor& x, const PackedDocuments& documents);

/// The pieces as one tensor again, of the given sizes.
torch::Tensor joined(const std::vector<torch::Tensor>& pieces, at::IntArrayRef sizes);

}  // namespace zebra
