#include <ATen/SDPBackend.h>
#include <torch/csrc/autograd/custom_function.h>

#include <tuple>

#include "ops/attention.h"

// Global attention by LibTorch's own kernels.

namespace zebra {
namespace {

using Tensor = torch::Tensor;
using Tensors = std::vector<Tensor>;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Gradients = std::tuple<Tensor, Tensor, Tensor>;

/// One of the fused kernels behind LibTorch's scaled_dot_product_attention as a pair of functions,
/// so that a caller can keep what the forward leaves for the backward. Causal, without dropout;
/// q [B, T, Hq, D], k and v [B, T, Hkv, D], log_sum_exp [B, Hq, T]. Neither is differentiable.
struct TorchAttentionKernel {
  AttentionResult (*forward)(const Tensor& q, const Tensor& k, const Tensor& v);
  Gradients (*backward)(const Tensor& d_out, const Tensor& q, const Tensor& k, const Tensor& v,
                        const AttentionResult& result);
};

// The calls and their arguments are those of LibTorch's own derivative formulas
// (torchgen/packaged/autograd/derivatives.yaml in the wheel). LibTorch wants [B, H, T, D].
Tensor heads_first(const Tensor& x) { return x.transpose(1, 2); }
Tensor tokens_first(const Tensor& x) { return x.transpose(1, 2); }

Gradients tokens_first(const Gradients& x) {
  return {tokens_first(std::get<0>(x)), tokens_first(std::get<1>(x)), tokens_first(std::get<2>(x))};
}

constexpr double kDropout = 0.0;
constexpr bool kCausal = true;

constexpr TorchAttentionKernel kCpuFlash = {
    [](const Tensor& q, const Tensor& k, const Tensor& v) -> AttentionResult {
      const auto [out, log_sum_exp] = at::_scaled_dot_product_flash_attention_for_cpu(
          heads_first(q), heads_first(k), heads_first(v), kDropout, kCausal);
      return {tokens_first(out), log_sum_exp, {}};
    },
    [](const Tensor& d_out, const Tensor& q, const Tensor& k, const Tensor& v,
       const AttentionResult& result) {
      return tokens_first(at::_scaled_dot_product_flash_attention_for_cpu_backward(
          heads_first(d_out), heads_first(q), heads_first(k), heads_first(v),
          heads_first(result.out), result.log_sum_exp, kDropout, kCausal));
    }};

// On CUDA `saved` is the state of the random numbers, which nothing reads without dropout; but the
// backward wants tensors there, and undefined ones in place of the bounds of a ragged batch.

constexpr TorchAttentionKernel kCudaFlash = {
    [](const Tensor& q, const Tensor& k, const Tensor& v) -> AttentionResult {
      const auto result = at::_scaled_dot_product_flash_attention(
          heads_first(q), heads_first(k), heads_first(v), kDropout, kCausal);
      return {tokens_first(std::get<0>(result)), std::get<1>(result), std::get<6>(result)};
    },
    [](const Tensor& d_out, const Tensor& q, const Tensor& k, const Tensor& v,
       const AttentionResult& result) {
      return tokens_first(at::_scaled_dot_product_flash_attention_backward(
          heads_first(d_out), heads_first(q), heads_first(k), heads_first(v),
          heads_first(result.out), result.log_sum_exp, /*cum_seq_q=*/{}, /*cum_seq_k=*/{},
          /*max_q=*/q.size(1), /*max_k=*/k.size(1), kDropout, kCausal, result.saved, result.saved));
    }};

constexpr TorchAttentionKernel kCudnn = {
    [](const Tensor& q, const Tensor& k, const Tensor& v) -> AttentionResult {
      const auto result = at::_scaled_dot_product_cudnn_attention(
          heads_first(q), heads_first(k), heads_first(v), /*attn_bias=*/{},
          /*compute_log_sumexp=*/true, kDropout, kCausal);
      return {tokens_first(std::get<0>(result)), std::get<1>(result), std::get<6>(result)};
    },
    [](const Tensor& d_out, const Tensor& q, const Tensor& k, const Tensor& v,
       const AttentionResult& result) {
      return tokens_first(at::_scaled_dot_product_cudnn_attention_backward(
          heads_first(d_out), heads_first(q), heads_first(k), heads_first(v),
          heads_first(result.out), result.log_sum_exp, result.saved, result.saved,
          /*attn_bias=*/{}, /*cum_seq_q=*/{}, /*cum_seq_k=*/{}, /*max_q=*/q.size(1),
          /*max_k=*/k.size(1), kDropout, kCausal));
    }};

// What scaled_dot_product_attention would choose depends on whether it must leave something for a
// backward, so it is asked with a query that needs a gradient, even where none is recorded.
at::SDPBackend chosen_backend(const Tensor& q, const Tensor& k, const Tensor& v) {
  const torch::AutoGradMode recording(true);
  return static_cast<at::SDPBackend>(at::_fused_sdp_choice(
      heads_first(q).detach().set_requires_grad(true), heads_first(k), heads_first(v),
      /*attn_mask=*/{}, kDropout, kCausal, /*scale=*/std::nullopt,
      /*enable_gqa=*/q.size(2) != k.size(2)));
}

/// The kernel that scaled_dot_product_attention runs for these tensors where it needs a gradient.
/// Null where that is none of the pairs we know: FlashAttention on the CPU, FlashAttention and
/// cuDNN's on CUDA.
const TorchAttentionKernel* torch_attention_kernel(const Tensor& q, const Tensor& k,
                                                   const Tensor& v) {
  // On CUDA, heads whose size is no multiple of 8 are padded around the call: not worth a pair.
  if (q.is_cuda() && q.size(-1) % 8 != 0) return nullptr;
  switch (chosen_backend(q, k, v)) {
    case at::SDPBackend::flash_attention:
      return q.is_cuda() ? &kCudaFlash : &kCpuFlash;
    case at::SDPBackend::cudnn_attention:
      return &kCudnn;
    default:
      return nullptr;
  }
}

// [B, T, H, D] in and out; LibTorch's attention wants [B, H, T, D] and reads any strides.
torch::Tensor fused_attention(const torch::Tensor& q, const torch::Tensor& k,
                              const torch::Tensor& v, bool causal) {
  return at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                          /*attn_mask=*/{},
                                          /*dropout_p=*/0.0, causal, /*scale=*/std::nullopt,
                                          /*enable_gqa=*/q.size(2) != k.size(2))
      .transpose(1, 2);
}

// A document is a contiguous piece of the token stream: attend within each, so the work is the sum
// of their squares. Gives x [B, T, H, D] as one [1, length, H, D] per document, or whole where
// there are no documents. The gradient is one concatenation.
Tensors by_document(const torch::Tensor& x, at::IntArrayRef lengths) {
  if (lengths.empty()) return {x};
  return x.flatten(0, 1).unsqueeze(0).split_with_sizes(lengths, /*dim=*/1);
}

torch::Tensor joined(const Tensors& pieces, at::IntArrayRef sizes) {
  return pieces.size() == 1 ? pieces[0].view(sizes) : torch::cat(pieces, /*dim=*/1).view(sizes);
}

// The log-sum-exps [1, Hq, length] of the documents stand one behind the other. `saved` is that of
// one of them: no kernel reads it. Empty where no kernel is known.
AttentionResult compute(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                        at::IntArrayRef lengths) {
  const torch::NoGradGuard no_grad;
  const auto qs = by_document(q, lengths), ks = by_document(k, lengths),
             vs = by_document(v, lengths);
  Tensors out, log_sum_exp;
  AttentionResult piece;
  for (std::size_t i = 0; i < qs.size(); ++i) {
    const auto* kernel = torch_attention_kernel(qs[i], ks[i], vs[i]);
    if (kernel == nullptr) return {};
    piece = kernel->forward(qs[i], ks[i], vs[i]);
    out.push_back(piece.out);
    log_sum_exp.push_back(piece.log_sum_exp);
  }
  return {joined(out, q.sizes()), torch::cat(log_sum_exp, /*dim=*/2), piece.saved};
}

// A result that is already there gets its gradient, from the backward of the kernel that made it.
class GlobalAttentionOfResult : public torch::autograd::Function<GlobalAttentionOfResult> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& q,
                               const torch::Tensor& k, const torch::Tensor& v,
                               const std::vector<std::int64_t>& lengths,
                               const AttentionResult& result) {
    context->save_for_backward({q, k, v, result.out, result.log_sum_exp, result.saved});
    context->saved_data["lengths"] = lengths;
    return result.out.detach();
  }

  static variable_list backward(AutogradContext* context, const variable_list& d_out) {
    const auto s = context->get_saved_variables();
    const auto lengths = context->saved_data["lengths"].toIntVector();
    const auto d_outs = by_document(d_out[0], lengths), qs = by_document(s[0], lengths),
               ks = by_document(s[1], lengths), vs = by_document(s[2], lengths),
               outs = by_document(s[3], lengths);
    Tensors dq, dk, dv;
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < qs.size(); ++i) {
      const auto length = qs[i].size(1);
      const AttentionResult piece{outs[i], s[4].narrow(2, begin, length).contiguous(), s[5]};
      begin += length;
      const auto* kernel = torch_attention_kernel(qs[i], ks[i], vs[i]);
      const auto [piece_dq, piece_dk, piece_dv] =
          kernel->backward(d_outs[i], qs[i], ks[i], vs[i], piece);
      dq.push_back(piece_dq);
      dk.push_back(piece_dk);
      dv.push_back(piece_dv);
    }
    return {joined(dq, s[0].sizes()), joined(dk, s[1].sizes()), joined(dv, s[2].sizes()), {}, {}};
  }
};

}  // namespace

torch::Tensor plain_global_attention(const torch::Tensor& q, const torch::Tensor& k,
                                     const torch::Tensor& v, const RotaryFactors& rotary,
                                     const PackedDocuments& documents, AttentionResult* saved) {
  const auto rotated_q = apply_rotary(q, rotary);
  const auto rotated_k = apply_rotary(k, rotary);
  const auto& lengths = documents.lengths;
  if (saved != nullptr) {
    if (!saved->is_filled()) *saved = compute(rotated_q, rotated_k, v, lengths);
    if (saved->is_filled()) {
      return GlobalAttentionOfResult::apply(rotated_q, rotated_k, v, lengths, *saved);
    }
  }

  const auto qs = by_document(rotated_q, lengths), ks = by_document(rotated_k, lengths),
             vs = by_document(v, lengths);
  Tensors out;
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

torch::Tensor cached_attention(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v, const torch::Tensor& sink) {
  TORCH_CHECK(q.size(1) == 1, "cached_attention takes one new token per sequence, got ", q.sizes());
  if (sink.defined()) return cached_attention_with_sink(q, k, v, sink);
  return fused_attention(q, k, v, /*causal=*/false);
}

}  // namespace zebra
