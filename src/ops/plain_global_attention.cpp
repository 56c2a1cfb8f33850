#include "ops/attention.h"

namespace zebra {
namespace {

// [B, T, H, D] in and out; LibTorch's attention wants [B, H, T, D] and reads any strides.
torch::Tensor fused_attention(const torch::Tensor& q, const torch::Tensor& k,
                              const torch::Tensor& v, bool causal) {
  return at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                          /*attn_mask=*/{},
                                          /*dropout_p=*/0.0, causal, /*scale=*/std::nullopt,
                                          /*enable_gqa=*/q.size(2) != k.size(2))
      .transpose(1, 2);
}

}  // namespace

torch::Tensor plain_global_attention(const torch::Tensor& q, const torch::Tensor& k,
                                     const torch::Tensor& v, const RotaryFactors& rotary,
                                     const PackedDocuments& documents) {
  const auto rotated_q = apply_rotary(q, rotary);
  const auto rotated_k = apply_rotary(k, rotary);
  if (!documents.is_packed()) return fused_attention(rotated_q, rotated_k, v, /*causal=*/true);

  // A document is a contiguous piece of the token stream: attend within each, so the work is the
  // sum of their squares. The gradient of a split is one concatenation.
  const auto lengths = at::IntArrayRef(documents.lengths);
  const auto q_pieces = rotated_q.flatten(0, 1).split_with_sizes(lengths);
  const auto k_pieces = rotated_k.flatten(0, 1).split_with_sizes(lengths);
  const auto v_pieces = v.flatten(0, 1).split_with_sizes(lengths);
  std::vector<torch::Tensor> outputs;
  outputs.reserve(q_pieces.size());
  for (std::size_t i = 0; i < q_pieces.size(); ++i) {
    outputs.push_back(fused_attention(q_pieces[i].unsqueeze(0), k_pieces[i].unsqueeze(0),
                                      v_pieces[i].unsqueeze(0),
                                      /*causal=*/true)
                          .squeeze(0));
  }
  return torch::cat(outputs).view(q.sizes());
}

torch::Tensor cached_attention(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v) {
  TORCH_CHECK(q.size(1) == 1, "cached_attention takes one new token per sequence, got ", q.sizes());
  return fused_attention(q, k, v, /*causal=*/false);
}

}  // namespace zebra
