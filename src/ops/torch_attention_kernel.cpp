#include "ops/torch_attention_kernel.h"

#include <ATen/SDPBackend.h>

namespace zebra {
namespace {

using Tensor = torch::Tensor;
using Gradients = std::tuple<Tensor, Tensor, Tensor>;

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

}  // namespace

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

}  // namespace zebra
