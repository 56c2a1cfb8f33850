#include <cstdlib>
#include <string>

#include "ops/attention.h"
#include "ops/local_attention_operator.h"

namespace zebra {
namespace {

bool wants_reference() {
  static const bool wanted = [] {
    const char* value = std::getenv("ZEBRA_KERNEL");
    return value != nullptr && std::string(value) == "reference";
  }();
  return wanted;
}

OptionalTensor optional(const torch::Tensor& x) {
  return x.defined() ? OptionalTensor(x) : std::nullopt;
}

torch::Tensor fused_attention(const PackedHeads& packed, std::int64_t window,
                              const RotaryFactors& rotary, const PackedDocuments& documents) {
  return packed_local_attention_operator(packed.heads, packed.query_heads, window,
                                         optional(rotary.cos), optional(rotary.sin),
                                         optional(documents.first_token));
}

}  // namespace

torch::Tensor local_attention(const PackedHeads& packed, std::int64_t window,
                              const RotaryFactors& rotary, const PackedDocuments& documents) {
  if (!wants_reference() && has_local_attention_kernel(packed.heads)) {
    return fused_attention(packed, window, rotary, documents);
  }
  return plain_local_attention(packed.q(), packed.k(), packed.v(), window, rotary, documents);
}

torch::Tensor global_attention(const PackedHeads& packed, const RotaryFactors& rotary,
                               const PackedDocuments& documents) {
  const auto& heads = packed.heads;
  // On a GPU LibTorch's FlashAttention has the fewer products in its backward; on the CPU our
  // kernel is several times as quick as LibTorch's (docs/kernels.md).
  if (!wants_reference() && heads.is_cpu() && has_local_attention_kernel(heads)) {
    return fused_attention(packed, /*window=*/heads.size(1), rotary, documents);
  }
  return plain_global_attention(packed.q(), packed.k(), packed.v(), rotary, documents);
}

}  // namespace zebra
