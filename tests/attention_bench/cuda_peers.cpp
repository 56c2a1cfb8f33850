#include "cuda_peers.h"

#include <ATen/ops/_flash_attention_forward.h>

#include "ops/attention_inputs.h"

namespace zebra::bench {
namespace {

/// FlashAttention-2 beside rotary; a window of earlier tokens or none. Autograd calls
/// at::_flash_attention_backward with the same window.
std::unique_ptr<Competitor> flash(const Problem& problem, std::optional<std::int64_t> window) {
  return autograd_competitor(
      problem, [&problem, window](const auto& q, const auto& k, const auto& v) {
        const auto length = q.size(1);
        return std::get<0>(at::_flash_attention_forward(
            apply_rotary(q, problem.rotary), apply_rotary(k, problem.rotary), v,
            /*cum_seq_q=*/{}, /*cum_seq_k=*/{}, length, length, /*dropout_p=*/0.0,
            /*is_causal=*/!window.has_value(), /*return_debug_mask=*/false, /*scale=*/std::nullopt,
            window, window ? std::optional<std::int64_t>(0) : std::nullopt));
      });
}

}  // namespace

std::vector<Peer> cuda_peers() {
  const auto supports = [](const Case& shape) {
    return shape.device == torch::kCUDA && shape.type == torch::kBFloat16 &&
           shape.head_size % 8 == 0;
  };
  return {{"flash-window", "LibTorch's FlashAttention-2 with the window", /*global=*/false,
           supports, [](const Problem& problem) { return flash(problem, problem.shape.window); }},
          {"flash-causal", "the same over all earlier tokens: a global layer", /*global=*/true,
           supports, [](const Problem& problem) { return flash(problem, std::nullopt); }}};
}

}  // namespace zebra::bench
