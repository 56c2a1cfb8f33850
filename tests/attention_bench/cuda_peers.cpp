#include "cuda_peers.h"

#include <ATen/ops/_flash_attention_forward.h>

#include <algorithm>

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

/// The same with a window, for documents: sequences of their lengths one behind the other.
std::unique_ptr<Competitor> flash_of_documents(const Problem& problem) {
  const auto& lengths = problem.documents.lengths;
  const auto longest = *std::max_element(lengths.begin(), lengths.end());
  const auto sums = torch::cat({torch::zeros({1}, torch::kInt64),
                                torch::tensor(lengths, torch::kInt64).cumsum(0)})
                        .to(problem.shape.device, torch::kInt32);
  return autograd_competitor(
      problem, [&problem, sums, longest](const auto& q, const auto& k, const auto& v) {
        return std::get<0>(at::_flash_attention_forward(
                               apply_rotary(q, problem.rotary).flatten(0, 1),
                               apply_rotary(k, problem.rotary).flatten(0, 1), v.flatten(0, 1), sums,
                               sums, longest, longest, /*dropout_p=*/0.0, /*is_causal=*/false,
                               /*return_debug_mask=*/false, /*scale=*/std::nullopt,
                               problem.shape.window, 0))
            .view_as(q);
      });
}

}  // namespace

std::vector<Peer> cuda_peers() {
  const auto supports = [](const Case& shape) {
    return shape.device == torch::kCUDA && shape.type == torch::kBFloat16 &&
           shape.head_size % 8 == 0;
  };
  const auto whole_sequences = [supports](const Case& shape) {
    return supports(shape) && shape.document_length == 0;
  };
  return {
      {"flash-window", "LibTorch's FlashAttention-2 with the window", /*global=*/false, supports,
       [](const Problem& problem) {
         return problem.documents.is_packed() ? flash_of_documents(problem)
                                              : flash(problem, problem.shape.window);
       }},
      {"flash-causal", "the same over all earlier tokens: a global layer", /*global=*/true,
       whole_sequences, [](const Problem& problem) { return flash(problem, std::nullopt); }}};
}

}  // namespace zebra::bench
