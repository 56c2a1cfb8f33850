#include "ops/logit_bounds.h"

namespace zebra {

torch::Tensor log_visible_keys(std::int64_t batch, std::int64_t length, std::int64_t window,
                               bool has_sink, const PackedDocuments& documents,
                               torch::Device device) {
  const torch::NoGradGuard no_grad;
  const auto position = torch::arange(length, torch::TensorOptions(device).dtype(torch::kInt64));
  const auto earlier = documents.is_packed() ? position - documents.first_token : position;
  const auto logits = earlier.clamp_max(window) + (has_sink ? 2 : 1);
  return torch::log(logits.to(torch::kFloat32)).expand({batch, length}).flatten();
}

torch::Tensor attention_logit_bounds(const AttentionResult& result, const torch::Tensor& log_keys) {
  const torch::NoGradGuard no_grad;
  // [B, Hq, T]; as [1, Hq, B T] or [Hq, B T] where documents are one batch; cuDNN's with a 1
  // behind.
  auto by_head = result.log_sum_exp.detach();
  if (by_head.dim() == 4) by_head = by_head.squeeze(-1);
  const auto by_token = by_head.amax(-2).flatten();
  return torch::stack({(by_token - log_keys).amax(), by_token.amax()});
}

}  // namespace zebra
