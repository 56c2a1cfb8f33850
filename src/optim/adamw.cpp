#include "optim/adamw.h"

#include <cmath>
#include <cstddef>

#include "ops/fused_kernels.h"
#include "ops/part_scope.h"

namespace zebra {

// step_arguments() writes them as four floats.
static_assert(sizeof(kernels::AdamwStep) == 4 * sizeof(float) &&
              offsetof(kernels::AdamwStep, gradient_scale) == 0 &&
              offsetof(kernels::AdamwStep, correction1) == 4 &&
              offsetof(kernels::AdamwStep, correction2) == 8 &&
              offsetof(kernels::AdamwStep, applies) == 12);

AdamW::AdamW(const OptimizerSection& settings, std::vector<OptimizerRange> ranges)
    : settings_(settings), ranges_(std::move(ranges)) {
  for (const auto& range : ranges_) {
    {
      ZEBRA_MEMORY_PART("masters");
      masters_.push_back(range.weights.to(torch::kFloat32));
    }
    ZEBRA_MEMORY_PART("moments");
    first_moments_.push_back(torch::zeros_like(masters_.back()));
    second_moments_.push_back(torch::zeros_like(masters_.back()));
  }
}

void AdamW::step(double lr, double gradient_scale) {
  if (ranges_.empty()) return;
  step(lr, torch::tensor({gradient_scale, 1.0}, torch::kFloat32).to(masters_.front().device()));
  ++steps_taken_;
}

void AdamW::step(double lr, const torch::Tensor& decision) {
  const torch::NoGradGuard no_grad;
  if (ranges_.empty()) return;
  if (uses_fused_kernels(masters_.front())) {
    const auto arguments = step_arguments(decision);
    for (std::size_t i = 0; i < ranges_.size(); ++i) fused_update(i, lr, arguments);
    return;
  }
  const auto on_host = decision.to(torch::kCPU);
  if (on_host[1].item<float>() == 0.0F) return;
  const double gradient_scale = on_host[0].item<float>();
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    if (gradient_scale != 1.0) ranges_[i].gradients.mul_(gradient_scale);
    plain_update(i, 0, ranges_[i].decayed_size, lr, settings_.weight_decay);
    plain_update(i, ranges_[i].decayed_size, ranges_[i].weights.numel(), lr, 0.0);
  }
  publish_masters();
}

// A kernels::AdamwStep on the device: what the host knows beside what the device decides.
torch::Tensor AdamW::step_arguments(const torch::Tensor& decision) const {
  const auto correction = [&](double beta) {
    const double remaining = std::pow(beta, static_cast<double>(steps_taken_ + 1));
    return torch::full({1}, 1.0 - remaining, decision.options());
  };
  return torch::cat({decision.narrow(0, 0, 1), correction(settings_.betas[0]),
                     correction(settings_.betas[1]), decision.narrow(0, 1, 1)});
}

void AdamW::fused_update(std::size_t i, double lr, const torch::Tensor& step) {
  const auto& [weights, gradients, decayed_size] = ranges_[i];
  const bool rounds = !masters_[i].is_same(weights);
  launch(kernels::AdamwUpdate{.size = weights.numel(),
                              .decayed_size = decayed_size,
                              .gradients = gradients.const_data_ptr<float>(),
                              .weights = masters_[i].mutable_data_ptr<float>(),
                              .first_moments = first_moments_[i].mutable_data_ptr<float>(),
                              .second_moments = second_moments_[i].mutable_data_ptr<float>(),
                              .rounded = rounds ? weights.mutable_data_ptr() : nullptr,
                              .lr = static_cast<float>(lr),
                              .beta1 = static_cast<float>(settings_.betas[0]),
                              .beta2 = static_cast<float>(settings_.betas[1]),
                              .eps = static_cast<float>(settings_.eps),
                              .weight_decay = static_cast<float>(settings_.weight_decay),
                              .step = reinterpret_cast<const kernels::AdamwStep*>(
                                  step.const_data_ptr<float>())},
         weights.device());
}

void AdamW::plain_update(std::size_t range, std::int64_t begin, std::int64_t end, double lr,
                         double weight_decay) {
  if (begin == end) return;
  const auto part = [&](const torch::Tensor& flat) { return flat.narrow(0, begin, end - begin); };
  const auto& gradients = ranges_[range].gradients;
  // LibTorch keeps the step as float32; it is exact up to 2^24 steps.
  const auto step = torch::full({}, static_cast<double>(steps_taken_ + 1), gradients.options());
  at::_fused_adamw_({part(masters_[range])}, {part(gradients)}, {part(first_moments_[range])},
                    {part(second_moments_[range])}, /*max_exp_avg_sqs=*/{}, {step}, lr,
                    settings_.betas[0], settings_.betas[1], weight_decay, settings_.eps,
                    /*amsgrad=*/false, /*maximize=*/false);
}

void AdamW::publish_masters() {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    if (!masters_[i].is_same(ranges_[i].weights)) ranges_[i].weights.copy_(masters_[i]);
  }
}

torch::Tensor squared_norm(const std::vector<torch::Tensor>& gradients) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> norms;
  for (const auto& gradient : gradients)
    norms.push_back(at::linalg_vector_norm(gradient, 2).to(torch::kFloat64));
  return torch::stack(norms).square().sum();
}

double clip_scale(double norm, double limit) {
  return limit == 0.0 || !(norm > limit) ? 1.0 : limit / norm;
}

torch::Tensor update_decision(const torch::Tensor& loss, const torch::Tensor& norm,
                              double largest_norm, double clip_limit) {
  const auto scale = clip_limit > 0.0 ? (clip_limit / norm).clamp_max(1.0) : torch::ones_like(norm);
  const auto applies =
      torch::isfinite(loss).logical_and(torch::isfinite(norm)).logical_and(norm <= largest_norm);
  return torch::stack({scale, applies.to(torch::kFloat64)}).to(torch::kFloat32);
}

}  // namespace zebra
