#pragma once

#include <torch/types.h>

#include <cstdint>
#include <tuple>

#include "ops/attention_inputs.h"

namespace zebra {

// Our local attention kernels as operators of LibTorch's dispatcher, with autograd and meta
// functions, on the CPU and on CUDA:
//
//   zebra::local_attention(q, k, v, window, cos, sin, first_token)
//   zebra::packed_local_attention(qkv, query_heads, window, cos, sin, first_token)
//
// q [B, T, Hq, D], k and v [B, T, Hkv, D], qkv [B, T, Hq + 2 Hkv, D], all float32 or all bfloat16;
// out [B, T, Hq, D] contiguous. cos and sin are [T, D / 2] or [B, T, D / 2] float32, first_token is
// [B, T] int64; None: no rotation, one document per sequence. Of separate tensors q may hold the
// last tokens alone, if k has a multiple of 64 more; the others are keys without a query, and out
// is as long as q. The definition is that of zebra_kernels/local_attention.h. Differentiable once,
// in q, k and v or in qkv. A tensor whose rows the kernel cannot read in place is copied.
// c10::Error with a sentence for arguments that do not fit; CUDA does not check the values of
// first_token.
//
// For Python programs python/zebra_attention has operators of its own, on every version of
// LibTorch: these here are compiled for one.

/// Whether a kernel exists for tensors like q.
bool has_local_attention_kernel(const torch::Tensor& q);

/// The kernels that can leave a result: ours, and those behind LibTorch's
/// scaled_dot_product_attention (torch_attention_kernels.h).
enum class AttentionKernel { ours, cpu_flash, flash, variable_length_flash, cudnn };

/// What one call of attention computed: its output and what its backward needs. Kept by a caller
/// whose second call with equal inputs need not compute it again (selective activation
/// checkpointing). Empty until a call fills it; a kernel that leaves nothing to keep leaves it so.
struct AttentionResult {
  torch::Tensor out;          ///< [B, T, Hq, D]
  torch::Tensor log_sum_exp;  ///< of each query's scaled scores, float32, as its kernel lays it out
  torch::Tensor saved;        ///< whatever else the kernel's backward asks for; may be undefined
  AttentionKernel kernel = AttentionKernel::ours;  ///< that made it: no other's backward fits

  bool is_filled() const { return out.defined(); }
};

/// The operator for the inputs, called through the dispatcher. With `saved` in two steps: an empty
/// one is filled; a filled one, of equal inputs and however old, gets its gradient, and nothing is
/// computed. `sink` [Hq], where defined (packed inputs only): see below; differentiable in it too.
torch::Tensor fused_attention(const AttentionInputs& inputs, AttentionResult* saved = nullptr,
                              const torch::Tensor& sink = {});

// The two halves by themselves, for a caller that has a gradient of its own; separate inputs.
AttentionResult compute_attention(const AttentionInputs& inputs);
using HeadGradients = std::tuple<torch::Tensor, torch::Tensor, torch::Tensor>;
/// Of q, k and v. `has_sink`: whether the result is one of with_sink.
HeadGradients differentiate_attention(const torch::Tensor& d_out, const AttentionInputs& inputs,
                                      const AttentionResult& result, bool has_sink);

// A learned attention sink: one more logit s in the softmax of each query head, with nothing behind
// it. The weight of key j is exp(score_j) / (exp(s) + sum of exp(score)), so that a head may attend
// to nothing (gpt-oss; the need for it: Xiao et al., arXiv 2309.17453).

/// What attention gives with the sinks [Hq], from the result without them: with L the log-sum-exp
/// of the scores, out' = out sigmoid(L - s) and L' = log(exp(L) + exp(s)). In place of out and L
/// they make the backward of attention that with sinks: it computes weights as exp(score - L') and
/// takes d_out . out' off. No gradient.
AttentionResult with_sink(const AttentionResult& result, const torch::Tensor& sink);

/// Gradient in the sinks [Hq] of a `result` that with_sink gave, d_out [B, T, Hq, D]: the sum over
/// sequences and tokens of -exp(s - L') d_out . out', in float32, rounded to the sinks' type.
torch::Tensor sink_gradient(const torch::Tensor& d_out, const AttentionResult& result,
                            const torch::Tensor& sink);

/// Softmax of scores [..., K] over the keys beside a sink [...] (broadcast), whose own weight is
/// left out. Differentiable; the definition that the above is tested against.
torch::Tensor softmax_with_sink(const torch::Tensor& scores, const torch::Tensor& sink);

}  // namespace zebra
