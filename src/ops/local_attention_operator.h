#pragma once

#include <torch/types.h>

#include <cstdint>
#include <optional>

#include "ops/attention_result.h"

namespace zebra {

// Our local attention kernels as operators of LibTorch's dispatcher, with autograd and meta
// functions, on the CPU and on CUDA. build/lib/libzebra_ops.so registers them in any other program:
//
//   torch.ops.load_library("build/lib/libzebra_ops.so")
//   out = torch.ops.zebra.local_attention(q, k, v, window, cos, sin, first_token)
//   out = torch.ops.zebra.packed_local_attention(qkv, query_heads, window, cos, sin, first_token)
//
// q [B, T, Hq, D], k and v [B, T, Hkv, D], qkv [B, T, Hq + 2 Hkv, D], all float32 or all bfloat16;
// out [B, T, Hq, D] contiguous. cos and sin are [T, D / 2] or [B, T, D / 2] float32, first_token is
// [B, T] int64; None: no rotation, one document per sequence. The definition is that of
// zebra_kernels/local_attention.h. Differentiable once, in q, k and v or in qkv. A tensor whose
// rows the kernel cannot read in place is copied. c10::Error (in Python RuntimeError) with a
// sentence for arguments that do not fit; CUDA does not check the values of first_token.

using OptionalTensor = std::optional<torch::Tensor>;

/// Whether a kernel exists for tensors like q.
bool has_local_attention_kernel(const torch::Tensor& q);

/// The operators, called through the dispatcher.
torch::Tensor local_attention_operator(const torch::Tensor& q, const torch::Tensor& k,
                                       const torch::Tensor& v, std::int64_t window,
                                       const OptionalTensor& cos, const OptionalTensor& sin,
                                       const OptionalTensor& first_token);
torch::Tensor packed_local_attention_operator(const torch::Tensor& qkv, std::int64_t query_heads,
                                              std::int64_t window, const OptionalTensor& cos,
                                              const OptionalTensor& sin,
                                              const OptionalTensor& first_token);

/// The packed operator in two steps, for a caller that keeps the result: computing it, and giving a
/// result of equal arguments, however old, its gradient in qkv, and in `sink` where the result was
/// made with one (attention_sink.h).
AttentionResult packed_local_attention_result(const torch::Tensor& qkv, std::int64_t query_heads,
                                              std::int64_t window, const OptionalTensor& cos,
                                              const OptionalTensor& sin,
                                              const OptionalTensor& first_token);
torch::Tensor packed_local_attention_output(const torch::Tensor& qkv, std::int64_t query_heads,
                                            std::int64_t window, const OptionalTensor& cos,
                                            const OptionalTensor& sin,
                                            const OptionalTensor& first_token,
                                            const AttentionResult& result,
                                            const OptionalTensor& sink = std::nullopt);

}  // namespace zebra
