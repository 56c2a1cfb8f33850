#include "optim/adamw.h"

#include "base/memory_part.h"

namespace zebra {

AdamW::AdamW(const OptimizerSection& settings, std::vector<OptimizerRange> ranges)
    : settings_(settings), ranges_(std::move(ranges)) {
  for (const auto& range : ranges_) {
    {
      const MemoryPartScope scope(MemoryPart::masters);
      masters_.push_back(range.weights.to(torch::kFloat32));
    }
    const MemoryPartScope scope(MemoryPart::moments);
    first_moments_.push_back(torch::zeros_like(masters_.back()));
    second_moments_.push_back(torch::zeros_like(masters_.back()));
  }
}

void AdamW::step(double lr) {
  const torch::NoGradGuard no_grad;
  ++steps_taken_;
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    update(i, 0, ranges_[i].decayed_size, lr, settings_.weight_decay);
    update(i, ranges_[i].decayed_size, ranges_[i].weights.numel(), lr, 0.0);
  }
  publish_masters();
}

void AdamW::update(std::size_t range, std::int64_t begin, std::int64_t end, double lr,
                   double weight_decay) {
  if (begin == end) return;
  const auto part = [&](const torch::Tensor& flat) { return flat.narrow(0, begin, end - begin); };
  const auto& gradients = ranges_[range].gradients;
  // LibTorch keeps the step as float32; it is exact up to 2^24 steps.
  const auto step = torch::full({}, static_cast<double>(steps_taken_), gradients.options());
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

void clip_gradients(const std::vector<torch::Tensor>& gradients, double norm, double limit) {
  if (limit == 0.0 || !(norm > limit)) return;
  for (const auto& gradient : gradients) gradient.mul_(limit / norm);
}

}  // namespace zebra
