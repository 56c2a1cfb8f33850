#pragma once

#include <torch/types.h>

#include <cstdint>

#include "ops/attention_inputs.h"
#include "ops/attention_operator.h"

namespace zebra {

// Causal attention as Zebra's two kinds of layer use it. In all functions q is [B, T, Hq, D], k and
// v are [B, T, Hkv, D] of any strides, Hq is a multiple of Hkv and query head h reads key head
// h / (Hq / Hkv). Scores are scaled by 1 / sqrt(D), softmax is in float32, the result is
// [B, T, Hq, D] in q's type. Differentiable in q, k and v. Rotary embedding is applied to q and k
// first.
//
// `saved` is for a caller that runs a layer a second time for its backward: a call that gets it
// empty fills it, and a call that gets it filled, with inputs that are equal to the bit, returns
// that output without computing attention, and with a gradient. Where no kernel leaves a result
// that can be saved (see each function) it stays empty, and the second call computes again.

/// Whether global layers are for our fused kernel, with a window that hides nothing: on the CPU,
/// where LibTorch's takes several times as long (docs/kernels.md); on a GPU
/// - where the same bits are wanted each time, in bfloat16: LibTorch then refuses cuDNN's kernel
///   and runs the slower, deterministic backward of its FlashAttention;
/// - for documents, unless tokens are on average in documents of 4096 and more: one launch for the
///   whole batch, whatever their lengths.
/// Else LibTorch's kernels have fewer products in their backward.
bool our_kernel_is_for_global_layers(bool on_cpu, bool deterministic,
                                     const PackedDocuments& documents);

/// Every earlier token of the same document, by one kernel for the whole batch: ours where the
/// above says so and it exists (see local_attention), else LibTorch's, see plain_global_attention.
/// With `sink` [Hq], see attention_operator.h, always what local_attention does with a window that
/// hides nothing: LibTorch's kernels have no sinks. (The plain form then takes O(T^2) memory.)
torch::Tensor global_attention(const PackedHeads& packed, const RotaryFactors& rotary,
                               const PackedDocuments& documents, AttentionResult* saved = nullptr,
                               const torch::Tensor& sink = {});

/// The same by LibTorch's own kernels (torch_attention_kernels.h), on any device. The reference of
/// ours. Where LibTorch has neither FlashAttention nor cuDNN's kernel for the tensors (float32 on
/// CUDA) documents are one call each, and `saved` is not filled.
torch::Tensor plain_global_attention(const torch::Tensor& q, const torch::Tensor& k,
                                     const torch::Tensor& v, const RotaryFactors& rotary,
                                     const PackedDocuments& documents,
                                     AttentionResult* saved = nullptr);

/// Token t sees the keys max(t - window, first token of its document) .. t: itself and `window`
/// previous tokens, so window + 1 keys. O(T x window) in time. In float32 and bfloat16 this is our
/// fused kernel, whose memory is O(T): on the CPU for even D up to 256, on CUDA for D = 32, 64, 96
/// and 128 (the operators of attention_operator.h; q, k and v are read and their gradient is
/// written in place). Else, and with ZEBRA_KERNEL=reference in the environment, the plain form,
/// which saves nothing. `sink` [Hq], where defined: see attention_operator.h.
torch::Tensor local_attention(const PackedHeads& packed, std::int64_t window,
                              const RotaryFactors& rotary, const PackedDocuments& documents,
                              AttentionResult* saved = nullptr, const torch::Tensor& sink = {});

/// The same in LibTorch's own operations, on any device: blocks of queries against their own and
/// the previous block of keys. O(T x window) in memory too. The reference of the fused kernels.
torch::Tensor plain_local_attention(const torch::Tensor& q, const torch::Tensor& k,
                                    const torch::Tensor& v, std::int64_t window,
                                    const RotaryFactors& rotary, const PackedDocuments& documents,
                                    const torch::Tensor& sink = {});

/// One new token per sequence against cached keys that are all visible: q [B, 1, Hq, D], already
/// rotated as the keys k, v [B, S, Hkv, D] are.
torch::Tensor cached_attention(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v, const torch::Tensor& sink = {});

}  // namespace zebra
