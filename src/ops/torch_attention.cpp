#include <torch/csrc/autograd/custom_function.h>

#include "ops/attention.h"
#include "ops/torch_attention_kernels.h"

// Global attention by LibTorch's own kernels.

namespace zebra {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// [B, T, H, D] in and out; LibTorch's attention wants [B, H, T, D] and reads any strides.
torch::Tensor fused_attention(const torch::Tensor& q, const torch::Tensor& k,
                              const torch::Tensor& v, bool causal) {
  return at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                          /*attn_mask=*/{},
                                          /*dropout_p=*/0.0, causal, /*scale=*/std::nullopt,
                                          /*enable_gqa=*/q.size(2) != k.size(2))
      .transpose(1, 2);
}

// The result of the kernel for the whole batch. Empty where no kernel is known.
AttentionResult compute(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                        const PackedDocuments& documents) {
  const torch::NoGradGuard no_grad;
  const auto* kernel = torch_attention_kernel(q, k, v, documents);
  return kernel == nullptr ? AttentionResult{} : kernel->forward(q, k, v, documents);
}

// A result that is already there gets its gradient, from the backward of the kernel that made it.
class GlobalAttentionOfResult : public torch::autograd::Function<GlobalAttentionOfResult> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& q,
                               const torch::Tensor& k, const torch::Tensor& v,
                               const PackedDocuments& documents, const AttentionResult& result) {
    context->save_for_backward({q, k, v, result.out, result.log_sum_exp, result.saved,
                                documents.first_token, documents.offsets});
    context->saved_data["lengths"] = documents.lengths;
    context->saved_data["kernel"] = static_cast<std::int64_t>(result.kernel);
    return result.out.detach();
  }

  static variable_list backward(AutogradContext* context, const variable_list& d_out) {
    const auto s = context->get_saved_variables();
    const PackedDocuments documents = {.first_token = s[6],
                                       .lengths = context->saved_data["lengths"].toIntVector(),
                                       .offsets = s[7]};
    const AttentionResult result = {
        .out = s[3],
        .log_sum_exp = s[4],
        .saved = s[5],
        .kernel = static_cast<AttentionKernel>(context->saved_data["kernel"].toInt())};
    const auto [dq, dk, dv] = torch_attention_kernel(result.kernel)
                                  .backward(d_out[0], s[0], s[1], s[2], result, documents);
    return {dq, dk, dv, {}, {}};
  }
};

}  // namespace

torch::Tensor plain_global_attention(const torch::Tensor& q, const torch::Tensor& k,
                                     const torch::Tensor& v, const RotaryFactors& rotary,
                                     const PackedDocuments& documents, AttentionResult* saved) {
  const auto rotated_q = apply_rotary(q, rotary);
  const auto rotated_k = apply_rotary(k, rotary);
  // scaled_dot_product_attention has no documents of its own.
  AttentionResult of_this_call;
  auto* result = saved == nullptr && documents.is_packed() ? &of_this_call : saved;
  if (result != nullptr) {
    if (!result->is_filled()) *result = compute(rotated_q, rotated_k, v, documents);
    if (result->is_filled()) {
      return GlobalAttentionOfResult::apply(rotated_q, rotated_k, v, documents, *result);
    }
  }
  if (!documents.is_packed()) return fused_attention(rotated_q, rotated_k, v, /*causal=*/true);

  const WithoutCudnnAttention without_plans;
  const auto qs = by_document(rotated_q, documents), ks = by_document(rotated_k, documents),
             vs = by_document(v, documents);
  std::vector<torch::Tensor> out;
  for (std::size_t i = 0; i < qs.size(); ++i) {
    out.push_back(fused_attention(qs[i], ks[i], vs[i], /*causal=*/true));
  }
  return joined(out, q.sizes());
}

namespace {

torch::Tensor cached_attention_with_sink(const torch::Tensor& q, const torch::Tensor& k,
                                         const torch::Tensor& v, const torch::Tensor& sink) {
  const auto key_heads = k.size(2), group = q.size(2) / key_heads;
  const auto grouped = q.unflatten(2, {key_heads, group});
  const auto scores = torch::einsum("bthgd,bshd->bthgs", {grouped, k}).to(torch::kFloat32) /
                      std::sqrt(static_cast<double>(q.size(3)));
  const auto weights = softmax_with_sink(scores, sink.view({1, 1, key_heads, group}));
  return torch::einsum("bthgs,bshd->bthgd", {weights.to(q.scalar_type()), v}).flatten(2, 3);
}

}  // namespace

torch::Tensor plain_cached_attention(const torch::Tensor& q, const torch::Tensor& k,
                                     const torch::Tensor& v, const torch::Tensor& sink) {
  if (sink.defined()) return cached_attention_with_sink(q, k, v, sink);
  const WithoutCudnnAttention without_plans;  // every token makes the text longer
  return fused_attention(q, k, v, /*causal=*/false);
}

}  // namespace zebra
