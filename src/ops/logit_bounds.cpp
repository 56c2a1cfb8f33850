#include "ops/logit_bounds.h"

namespace zebra {

torch::Tensor log_visible_keys(const torch::Tensor& positions, std::int64_t window, bool has_sink,
                               const PackedDocuments& documents) {
  const torch::NoGradGuard no_grad;
  const auto earlier = documents.is_packed() ? positions - documents.first_token : positions;
  return torch::log((earlier.clamp_max(window) + (has_sink ? 2 : 1)).to(torch::kFloat32));
}

torch::Tensor attention_logit_bounds(const torch::Tensor& log_sum_exp,
                                     const torch::Tensor& log_keys) {
  const torch::NoGradGuard no_grad;
  // [B, Hq, T]; as [1, Hq, B T] or [Hq, B T] where documents are one batch; cuDNN's with a 1
  // behind.
  auto by_head = log_sum_exp.detach();
  if (by_head.dim() == 4) by_head = by_head.squeeze(-1);
  const auto by_token = by_head.amax(-2).flatten();
  return torch::stack({(by_token - log_keys.flatten()).amax(), by_token.amax()});
}

}  // namespace zebra
