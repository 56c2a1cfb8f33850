#include "ops/attention.h"

#include "ops/attention_sink.h"
#include "ops/kernel_choice.h"
#include "ops/local_attention_operator.h"
#include "ops/packed_rotary.h"

namespace zebra {
namespace {

OptionalTensor optional(const torch::Tensor& x) {
  return x.defined() ? OptionalTensor(x) : std::nullopt;
}

torch::Tensor fused_attention(const PackedHeads& packed, std::int64_t window,
                              const RotaryFactors& rotary, const PackedDocuments& documents,
                              AttentionResult* kept, const torch::Tensor& sink = {}) {
  const auto cos = optional(rotary.cos), sin = optional(rotary.sin),
             first_token = optional(documents.first_token);
  const auto& heads = packed.heads;
  if (kept == nullptr && !sink.defined()) {
    return packed_local_attention_operator(heads, packed.query_heads, window, cos, sin,
                                           first_token);
  }
  AttentionResult computed;
  AttentionResult& result = kept != nullptr ? *kept : computed;
  if (!result.is_filled()) {
    result =
        packed_local_attention_result(heads, packed.query_heads, window, cos, sin, first_token);
    if (sink.defined()) result = with_sink(result, sink);
  }
  return packed_local_attention_output(heads, packed.query_heads, window, cos, sin, first_token,
                                       result, optional(sink));
}

}  // namespace

torch::Tensor local_attention(const PackedHeads& packed, std::int64_t window,
                              const RotaryFactors& rotary, const PackedDocuments& documents,
                              AttentionResult* kept, const torch::Tensor& sink) {
  if (!wants_reference_kernels() && has_local_attention_kernel(packed.heads)) {
    return fused_attention(packed, window, rotary, documents, kept, sink);
  }
  return plain_local_attention(packed.q(), packed.k(), packed.v(), window, rotary, documents, sink);
}

torch::Tensor global_attention(const PackedHeads& packed, const RotaryFactors& rotary,
                               const PackedDocuments& documents, AttentionResult* kept) {
  const auto& heads = packed.heads;
  // On a GPU LibTorch's own (FlashAttention, or cuDNN's) has the fewer products in its backward; on
  // the CPU our kernel is several times as quick as LibTorch's (docs/kernels.md).
  if (!wants_reference_kernels() && heads.is_cpu() && has_local_attention_kernel(heads)) {
    return fused_attention(packed, /*window=*/heads.size(1), rotary, documents, kept);
  }
  if (wants_reference_kernels()) {
    return plain_global_attention(packed.q(), packed.k(), packed.v(), rotary, documents, kept);
  }
  const auto [q, k, v] = packed_rotary(packed, rotary);
  return plain_global_attention(q, k, v, /*rotary=*/{}, documents, kept);
}

}  // namespace zebra
