#include "model/layer_statistics.h"

#include <limits>

#include "ops/logit_bounds.h"
#include "ops/vocabulary.h"

namespace zebra {
namespace {

torch::Tensor sum_of_squares(const torch::Tensor& x) {
  return at::linalg_vector_norm(x, 2, c10::nullopt, /*keepdim=*/false, torch::kFloat32)
      .to(torch::kFloat64)
      .square();
}

void raise(torch::Tensor& highest, const torch::Tensor& values) {
  const auto exact = values.to(torch::kFloat64);
  highest = highest.defined() ? torch::maximum(highest, exact) : exact;
}

}  // namespace

LayerStatistics::LayerStatistics(std::size_t layers, torch::Device device)
    : options_(torch::TensorOptions(device).dtype(torch::kFloat64)),
      squares_(layers + 1),
      bounds_(layers + 1) {
  clear();
}

void LayerStatistics::clear() {
  for (auto& sum : squares_) sum = torch::zeros({}, options_);
  for (auto& bounds : bounds_) bounds.reset();
}

void LayerStatistics::add_output(std::size_t layer, const torch::Tensor& output) {
  const torch::NoGradGuard no_grad;
  squares_[layer] = squares_[layer] + sum_of_squares(output.detach());
}

void LayerStatistics::add_attention(std::size_t layer, const SavedAttention& saved,
                                    const torch::Tensor& log_keys) {
  const torch::NoGradGuard no_grad;
  const auto add = [&](const AttentionResult& result, const torch::Tensor& of_its_tokens) {
    if (result.log_sum_exp.defined())
      raise(bounds_[layer], attention_logit_bounds(result.log_sum_exp, of_its_tokens));
  };
  add(saved.whole, log_keys);
  // One result for both chunks of the tokens, or one for each.
  const auto parts = static_cast<std::int64_t>(saved.of_chunks.size());
  for (std::int64_t i = 0; i < parts; ++i)
    add(saved.of_chunks[static_cast<std::size_t>(i)],
        log_keys.chunk(parts, 1)[static_cast<std::size_t>(i)]);
}

void LayerStatistics::add_output_logits(const torch::Tensor& log_sum_exp,
                                        const torch::Tensor& targets) {
  const torch::NoGradGuard no_grad;
  const auto ignored = targets.flatten() == kIgnoredTarget;
  squares_.back() = squares_.back() + sum_of_squares(log_sum_exp.masked_fill(ignored, 0.0));
  raise(bounds_.back(),
        log_sum_exp.masked_fill(ignored, -std::numeric_limits<double>::infinity()).amax().view(1));
}

torch::Tensor LayerStatistics::sums() const { return torch::stack(squares_); }

torch::Tensor LayerStatistics::maxima() const {
  std::vector<torch::Tensor> all;
  for (const auto& bounds : bounds_) {
    const bool is_last = &bounds == &bounds_.back();
    all.push_back(
        bounds.defined()
            ? bounds
            : torch::full({is_last ? 1 : 2}, std::numeric_limits<double>::quiet_NaN(), options_));
  }
  return torch::cat(all);
}

}  // namespace zebra
