#include "ops/torch_attention_kernels.h"

#include <ATen/Context.h>
#include <ATen/SDPBackend.h>

#include <algorithm>

namespace zebra {
namespace {

using Tensor = torch::Tensor;
using Tensors = std::vector<Tensor>;
using Gradients = TorchAttentionKernel::Gradients;

// The calls and their arguments are those of LibTorch's own derivative formulas
// (torchgen/packaged/autograd/derivatives.yaml in the wheel). LibTorch wants [B, H, T, D].
Tensor heads_first(const Tensor& x) { return x.transpose(1, 2); }
Tensor tokens_first(const Tensor& x) { return x.transpose(1, 2); }

Gradients tokens_first(const Gradients& x) {
  return {tokens_first(std::get<0>(x)), tokens_first(std::get<1>(x)), tokens_first(std::get<2>(x))};
}

constexpr double kDropout = 0.0;
constexpr bool kCausal = true;

// One call for each document, with the log-sum-exps [1, Hq, length] one behind the other.
constexpr TorchAttentionKernel kCpuFlash = {
    [](const Tensor& q, const Tensor& k, const Tensor& v,
       const PackedDocuments& documents) -> AttentionResult {
      const auto qs = by_document(q, documents), ks = by_document(k, documents),
                 vs = by_document(v, documents);
      Tensors outs, log_sum_exps;
      for (std::size_t i = 0; i < qs.size(); ++i) {
        const auto [out, log_sum_exp] = at::_scaled_dot_product_flash_attention_for_cpu(
            heads_first(qs[i]), heads_first(ks[i]), heads_first(vs[i]), kDropout, kCausal);
        outs.push_back(tokens_first(out));
        log_sum_exps.push_back(log_sum_exp);
      }
      return {.out = joined(outs, q.sizes()),
              .log_sum_exp = torch::cat(log_sum_exps, /*dim=*/2),
              .saved = {},
              .kernel = AttentionKernel::cpu_flash};
    },
    [](const Tensor& d_out, const Tensor& q, const Tensor& k, const Tensor& v,
       const AttentionResult& result, const PackedDocuments& documents) -> Gradients {
      const auto d_outs = by_document(d_out, documents), qs = by_document(q, documents),
                 ks = by_document(k, documents), vs = by_document(v, documents),
                 outs = by_document(result.out, documents);
      Tensors dqs, dks, dvs;
      std::int64_t begin = 0;
      for (std::size_t i = 0; i < qs.size(); ++i) {
        const auto length = qs[i].size(1);
        const auto [dq, dk, dv] =
            tokens_first(at::_scaled_dot_product_flash_attention_for_cpu_backward(
                heads_first(d_outs[i]), heads_first(qs[i]), heads_first(ks[i]), heads_first(vs[i]),
                heads_first(outs[i]), result.log_sum_exp.narrow(2, begin, length).contiguous(),
                kDropout, kCausal));
        begin += length;
        dqs.push_back(dq);
        dks.push_back(dk);
        dvs.push_back(dv);
      }
      return {joined(dqs, q.sizes()), joined(dks, k.sizes()), joined(dvs, v.sizes())};
    }};

// On CUDA `saved` is the state of the random numbers, which nothing reads without dropout; but the
// backward wants tensors there, and undefined ones in place of the bounds of a ragged batch.

// log_sum_exp [B, Hq, T].
constexpr TorchAttentionKernel kFlash = {
    [](const Tensor& q, const Tensor& k, const Tensor& v,
       const PackedDocuments&) -> AttentionResult {
      const auto result = at::_scaled_dot_product_flash_attention(
          heads_first(q), heads_first(k), heads_first(v), kDropout, kCausal);
      return {.out = tokens_first(std::get<0>(result)),
              .log_sum_exp = std::get<1>(result),
              .saved = std::get<6>(result),
              .kernel = AttentionKernel::flash};
    },
    [](const Tensor& d_out, const Tensor& q, const Tensor& k, const Tensor& v,
       const AttentionResult& result, const PackedDocuments&) {
      return tokens_first(at::_scaled_dot_product_flash_attention_backward(
          heads_first(d_out), heads_first(q), heads_first(k), heads_first(v),
          heads_first(result.out), result.log_sum_exp, /*cum_seq_q=*/{}, /*cum_seq_k=*/{},
          /*max_q=*/q.size(1), /*max_k=*/k.size(1), kDropout, kCausal, result.saved, result.saved));
    }};

Tensor all_tokens(const Tensor& x) { return x.flatten(0, 1); }

std::int64_t longest(const PackedDocuments& documents) {
  return *std::max_element(documents.lengths.begin(), documents.lengths.end());
}

// q [B T, Hq, D], log_sum_exp [Hq, B T].
constexpr TorchAttentionKernel kVariableLengthFlash = {
    [](const Tensor& q, const Tensor& k, const Tensor& v,
       const PackedDocuments& documents) -> AttentionResult {
      const auto result = at::_flash_attention_forward(
          all_tokens(q), all_tokens(k), all_tokens(v), documents.offsets, documents.offsets,
          /*max_q=*/longest(documents), /*max_k=*/longest(documents), kDropout, kCausal,
          /*return_debug_mask=*/false);
      return {.out = std::get<0>(result).view(q.sizes()),
              .log_sum_exp = std::get<1>(result),
              .saved = std::get<2>(result),
              .kernel = AttentionKernel::variable_length_flash};
    },
    [](const Tensor& d_out, const Tensor& q, const Tensor& k, const Tensor& v,
       const AttentionResult& result, const PackedDocuments& documents) -> Gradients {
      const auto [dq, dk, dv] = at::_flash_attention_backward(
          all_tokens(d_out), all_tokens(q), all_tokens(k), all_tokens(v), all_tokens(result.out),
          result.log_sum_exp, documents.offsets, documents.offsets, /*max_q=*/longest(documents),
          /*max_k=*/longest(documents), kDropout, kCausal, result.saved, result.saved);
      return {dq.view(q.sizes()), dk.view(k.sizes()), dv.view(v.sizes())};
    }};

// log_sum_exp [B, Hq, T, 1].
constexpr TorchAttentionKernel kCudnn = {
    [](const Tensor& q, const Tensor& k, const Tensor& v,
       const PackedDocuments&) -> AttentionResult {
      const auto result = at::_scaled_dot_product_cudnn_attention(
          heads_first(q), heads_first(k), heads_first(v), /*attn_bias=*/{},
          /*compute_log_sumexp=*/true, kDropout, kCausal);
      return {.out = tokens_first(std::get<0>(result)),
              .log_sum_exp = std::get<1>(result),
              .saved = std::get<6>(result),
              .kernel = AttentionKernel::cudnn};
    },
    [](const Tensor& d_out, const Tensor& q, const Tensor& k, const Tensor& v,
       const AttentionResult& result, const PackedDocuments&) {
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

}  // namespace

const TorchAttentionKernel* torch_attention_kernel(const Tensor& q, const Tensor& k,
                                                   const Tensor& v,
                                                   const PackedDocuments& documents) {
  // On a GPU heads whose size is no multiple of 8 are padded around the call: not worth a pair.
  if (!q.is_cpu() && q.size(-1) % 8 != 0) return nullptr;
  const auto backend = chosen_backend(q, k, v);
  const bool is_flash = backend == at::SDPBackend::flash_attention;
  if (!is_flash && backend != at::SDPBackend::cudnn_attention) return nullptr;
  if (is_flash && q.is_cpu()) return &kCpuFlash;
  // Whatever cuDNN's kernel takes, FlashAttention takes too.
  if (documents.is_packed()) return &kVariableLengthFlash;
  return is_flash ? &kFlash : &kCudnn;
}

const TorchAttentionKernel& torch_attention_kernel(AttentionKernel kernel) {
  switch (kernel) {
    case AttentionKernel::cpu_flash:
      return kCpuFlash;
    case AttentionKernel::flash:
      return kFlash;
    case AttentionKernel::variable_length_flash:
      return kVariableLengthFlash;
    case AttentionKernel::cudnn:
      return kCudnn;
    case AttentionKernel::ours:
      break;
  }
  TORCH_INTERNAL_ASSERT(false, "this result is not of LibTorch's attention");
}

WithoutCudnnAttention::WithoutCudnnAttention()
    : was_enabled_(at::globalContext().userEnabledCuDNNSDP()) {
  at::globalContext().setSDPUseCuDNN(false);
}

WithoutCudnnAttention::~WithoutCudnnAttention() {
  at::globalContext().setSDPUseCuDNN(was_enabled_);
}

Tensors by_document(const Tensor& x, const PackedDocuments& documents) {
  if (!documents.is_packed()) return {x};
  return x.flatten(0, 1).unsqueeze(0).split_with_sizes(documents.lengths, /*dim=*/1);
}

Tensor joined(const Tensors& pieces, at::IntArrayRef sizes) {
  return pieces.size() == 1 ? pieces[0].view(sizes) : torch::cat(pieces, /*dim=*/1).view(sizes);
}

}  // namespace zebra
