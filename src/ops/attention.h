#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "ops/packed_documents.h"
#include "ops/rotary.h"

namespace zebra {

// Causal attention as Zebra's two kinds of layer use it. In all functions q is [B, T, Hq, D], k and
// v are [B, T, Hkv, D] of any strides (slices of a packed projection are read in place), Hq is a
// multiple of Hkv and query head h reads key head h / (Hq / Hkv). Scores are scaled by 1 / sqrt(D),
// softmax is in float32, the result is [B, T, Hq, D] in q's type. Differentiable in q, k and v.
// Rotary embedding is applied to q and k first.

/// Every earlier token of the same document. LibTorch's fused scaled-dot-product attention.
torch::Tensor global_attention(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v, const RotaryFactors& rotary,
                               const PackedDocuments& documents);

/// Token t sees the keys max(t - window, first token of its document) .. t: itself and `window`
/// previous tokens, so window + 1 keys. O(T x window) in time. On the CPU, in float32 and bfloat16
/// and for even D up to 256, this is our fused kernel (zebra_kernels/local_attention.h), whose
/// memory is O(T); else, and with ZEBRA_KERNEL=reference in the environment, the plain form.
torch::Tensor local_attention(const torch::Tensor& q, const torch::Tensor& k,
                              const torch::Tensor& v, std::int64_t window,
                              const RotaryFactors& rotary, const PackedDocuments& documents);

/// The same in LibTorch's own operations, on any device: blocks of queries against their own and
/// the previous block of keys. O(T x window) in memory too. The reference of the fused kernels.
torch::Tensor plain_local_attention(const torch::Tensor& q, const torch::Tensor& k,
                                    const torch::Tensor& v, std::int64_t window,
                                    const RotaryFactors& rotary, const PackedDocuments& documents);

/// One new token per sequence against cached keys that are all visible: q [B, 1, Hq, D], already
/// rotated as the keys k, v [B, S, Hkv, D] are.
torch::Tensor cached_attention(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v);

}  // namespace zebra
