#include "ops/attention.h"

#include <ATen/Context.h>

#include <algorithm>
#include <limits>

#include "ops/fused_kernels.h"

namespace zebra {
namespace {

AttentionInputs inputs_of(const PackedHeads& packed, std::int64_t window,
                          const RotaryFactors& rotary, const PackedDocuments& documents) {
  return {.q = packed.heads,
          .query_heads = packed.query_heads,
          .window = window,
          .rotary = rotary,
          .first_token = documents.first_token};
}

// Tokens of a document from which on LibTorch's FlashAttention is the quicker one on a GPU, by the
// model of docs/kernels.md: it has five products in its backward where ours has seven.
constexpr double kLongDocument = 4096.0;

// Below this many queries a block is too small for an efficient matrix product.
constexpr std::int64_t kSmallestBlock = 32;

// Splits the tokens of x [B, T, H, D] into N blocks of C (zeros behind the end): [B, N, C, H, D].
torch::Tensor to_blocks(const torch::Tensor& x, std::int64_t blocks, std::int64_t block) {
  const auto padding = blocks * block - x.size(1);
  const auto padded = padding == 0 ? x : torch::constant_pad_nd(x, {0, 0, 0, 0, 0, padding});
  return padded.unflatten(1, {blocks, block});
}

// The keys that a block of queries may see: the previous block and its own, [B, N, 2 C, H, D]. The
// first has zeros before.
torch::Tensor with_previous_block(const torch::Tensor& blocks) {
  if (blocks.size(1) == 1) return blocks;
  const auto before =
      torch::constant_pad_nd(blocks.narrow(1, 0, blocks.size(1) - 1), {0, 0, 0, 0, 0, 0, 1, 0});
  return torch::cat({before, blocks}, 2);
}

// True where a query may NOT see a key: [N, C, K], or [B, N, C, K] where documents differ between
// sequences.
torch::Tensor hidden_keys(std::int64_t blocks, std::int64_t block, std::int64_t keys,
                          std::int64_t window, const PackedDocuments& documents,
                          torch::Device device) {
  const auto options = torch::TensorOptions().dtype(torch::kInt64).device(device);
  const auto block_begin = torch::arange(blocks, options).view({-1, 1, 1}) * block;
  const auto query = block_begin + torch::arange(block, options).view({1, -1, 1});
  const auto key = block_begin + (block - keys) + torch::arange(keys, options).view({1, 1, -1});
  auto hidden = (key > query).logical_or_(key < query - window).logical_or_(key < 0);
  if (!documents.is_packed()) return hidden;

  const auto& first_token = documents.first_token;
  // Queries behind the end exist only as padding; an own key keeps their softmax finite.
  const auto padding = blocks * block - first_token.size(1);
  const auto first = torch::constant_pad_nd(first_token, {0, padding}, 0)
                         .view({first_token.size(0), blocks, block, 1});
  return hidden.unsqueeze(0).logical_or(key.unsqueeze(0) < first);
}

}  // namespace

torch::Tensor plain_local_attention(const torch::Tensor& q, const torch::Tensor& k,
                                    const torch::Tensor& v, std::int64_t window,
                                    const RotaryFactors& rotary, const PackedDocuments& documents,
                                    const torch::Tensor& sink) {
  TORCH_CHECK(window >= 0, "a window cannot be negative, got ", window);
  const auto batch = q.size(0), length = q.size(1), query_heads = q.size(2), width = q.size(3),
             key_heads = k.size(2);
  const auto group = query_heads / key_heads;
  const auto block = std::min(std::max(window, kSmallestBlock), length);
  const auto blocks = (length + block - 1) / block;

  const auto q_blocks = to_blocks(apply_rotary(q, rotary), blocks, block);
  const auto k_blocks = with_previous_block(to_blocks(apply_rotary(k, rotary), blocks, block));
  const auto v_blocks = with_previous_block(to_blocks(v, blocks, block));
  const auto keys = k_blocks.size(2);

  // Query heads that share a key head become more rows of one product: [B, N, Hkv, G C, D] x [B, N,
  // Hkv, D, K].
  const auto rows = q_blocks.view({batch, blocks, block, key_heads, group, width})
                        .permute({0, 1, 3, 4, 2, 5})
                        .reshape({batch, blocks, key_heads, group * block, width});
  auto scores = torch::matmul(rows, k_blocks.permute({0, 1, 3, 4, 2})).to(torch::kFloat32) /
                std::sqrt(static_cast<double>(width));

  auto hidden = hidden_keys(blocks, block, keys, window, documents, q.device());
  if (hidden.dim() == 3) hidden = hidden.unsqueeze(0);
  scores =
      scores.view({batch, blocks, key_heads, group, block, keys})
          .masked_fill(hidden.unsqueeze(2).unsqueeze(2), -std::numeric_limits<float>::infinity());
  const auto weights =
      (sink.defined() ? softmax_with_sink(scores, sink.view({1, 1, key_heads, group, 1}))
                      : torch::softmax(scores, -1))
          .to(q.scalar_type());

  const auto out = torch::matmul(weights.view({batch, blocks, key_heads, group * block, keys}),
                                 v_blocks.permute({0, 1, 3, 2, 4}));
  return out.view({batch, blocks, key_heads, group, block, width})
      .permute({0, 1, 4, 2, 3, 5})
      .reshape({batch, blocks * block, query_heads, width})
      .narrow(1, 0, length);
}

torch::Tensor local_attention(const PackedHeads& packed, std::int64_t window,
                              const RotaryFactors& rotary, const PackedDocuments& documents,
                              AttentionResult* saved, const torch::Tensor& sink) {
  if (!wants_reference_kernels() && has_local_attention_kernel(packed.heads)) {
    return fused_attention(inputs_of(packed, window, rotary, documents), saved, sink);
  }
  return plain_local_attention(packed.q(), packed.k(), packed.v(), window, rotary, documents, sink);
}

bool our_kernel_is_for_global_layers(bool on_cpu, bool deterministic,
                                     const PackedDocuments& documents) {
  if (on_cpu || deterministic) return true;
  if (!documents.is_packed()) return false;
  double pairs = 0.0, tokens = 0.0;
  for (const auto length : documents.lengths) {
    pairs += static_cast<double>(length) * static_cast<double>(length);
    tokens += static_cast<double>(length);
  }
  return pairs < kLongDocument * tokens;
}

torch::Tensor global_attention(const PackedHeads& packed, const RotaryFactors& rotary,
                               const PackedDocuments& documents, AttentionResult* saved,
                               const torch::Tensor& sink) {
  const auto& heads = packed.heads;
  if (sink.defined()) {
    return local_attention(packed, /*window=*/heads.size(1), rotary, documents, saved, sink);
  }
  // In float32 LibTorch's repeats where it is asked to, and ours on a GPU is for checks.
  const bool repeats =
      at::globalContext().deterministicAlgorithms() && heads.scalar_type() == torch::kBFloat16;
  const bool ours = saved != nullptr && saved->is_filled()
                        ? saved->kernel == AttentionKernel::ours
                        : our_kernel_is_for_global_layers(heads.is_cpu(), repeats, documents);
  if (ours && !wants_reference_kernels() && has_local_attention_kernel(heads)) {
    return fused_attention(inputs_of(packed, /*window=*/heads.size(1), rotary, documents), saved);
  }
  const auto [q, k, v] = packed_rotary(packed, rotary);
  return plain_global_attention(q, k, v, /*rotary=*/{}, documents, saved);
}

}  // namespace zebra
