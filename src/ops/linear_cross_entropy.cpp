#include "ops/linear_cross_entropy.h"

#include <algorithm>

namespace zebra {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Float32 logits of one chunk: large enough for full matrix-product speed, small beside the
// activations.
constexpr std::int64_t kChunkLogits = std::int64_t{1} << 23;

std::int64_t chunk_tokens(std::int64_t vocabulary) {
  return std::max<std::int64_t>(16, kChunkLogits / vocabulary);
}

struct ChunkLoss {
  torch::Tensor logits;         // [n, V] float32
  torch::Tensor log_sum_exp;    // [n] float32
  torch::Tensor counted;        // [n] bool
  torch::Tensor index;          // [n] int64, 0 where ignored
  torch::Tensor cross_entropy;  // [n] float32, 0 where ignored
};

ChunkLoss chunk_loss(const torch::Tensor& hidden, const torch::Tensor& weight,
                     const torch::Tensor& targets) {
  ChunkLoss chunk;
  chunk.logits = torch::matmul(hidden, weight.t()).to(torch::kFloat32);
  chunk.log_sum_exp = torch::logsumexp(chunk.logits, -1);
  chunk.counted = targets != kIgnoredTarget;
  chunk.index = targets.masked_fill(chunk.counted.logical_not(), 0);
  const auto target_logit = chunk.logits.gather(-1, chunk.index.unsqueeze(-1)).squeeze(-1);
  chunk.cross_entropy =
      (chunk.log_sum_exp - target_logit).masked_fill(chunk.counted.logical_not(), 0.0);
  return chunk;
}

// d objective / d logits, in the type of the products that consume it. Overwrites the chunk's
// logits.
torch::Tensor logit_gradient(ChunkLoss& chunk, double z_loss, torch::ScalarType type) {
  auto& gradient = chunk.logits.sub_(chunk.log_sum_exp.unsqueeze(-1)).exp_();
  if (z_loss != 0.0) gradient.mul_((chunk.log_sum_exp * (2.0 * z_loss) + 1.0).unsqueeze(-1));
  gradient.scatter_add_(-1, chunk.index.unsqueeze(-1),
                        torch::full_like(chunk.log_sum_exp, -1.0).unsqueeze(-1));
  gradient.masked_fill_(chunk.counted.logical_not().unsqueeze(-1), 0.0);
  return gradient.to(type);
}

class LinearCrossEntropyFunction : public torch::autograd::Function<LinearCrossEntropyFunction> {
 public:
  static variable_list forward(AutogradContext* context, const torch::Tensor& hidden,
                               const torch::Tensor& weight, const torch::Tensor& targets,
                               double z_loss, bool wants_gradient) {
    const auto options = hidden.options().dtype(torch::kFloat32);
    auto objective = torch::zeros({}, options);
    auto cross_entropy = torch::zeros({}, options);
    torch::Tensor hidden_gradient, weight_gradient;
    if (wants_gradient) {
      hidden_gradient = torch::empty_like(hidden);
      weight_gradient = torch::zeros(weight.sizes(), options);
    }
    const auto step = chunk_tokens(weight.size(0));
    for (std::int64_t begin = 0; begin < hidden.size(0); begin += step) {
      const auto count = std::min(step, hidden.size(0) - begin);
      const auto rows = hidden.narrow(0, begin, count);
      auto chunk = chunk_loss(rows, weight, targets.narrow(0, begin, count));
      const auto sum = chunk.cross_entropy.sum();
      cross_entropy.add_(sum);
      objective.add_(sum);
      if (z_loss != 0.0) objective.add_((chunk.log_sum_exp.square() * chunk.counted).sum(), z_loss);
      if (!wants_gradient) continue;
      const auto gradient = logit_gradient(chunk, z_loss, hidden.scalar_type());
      hidden_gradient.narrow(0, begin, count).copy_(torch::matmul(gradient, weight));
      weight_gradient.add_(torch::matmul(gradient.t(), rows));
    }
    if (wants_gradient) context->save_for_backward({hidden_gradient, weight_gradient});
    context->mark_non_differentiable({cross_entropy});
    return {objective, cross_entropy};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto& scale = gradients[0];
    return {(saved[0] * scale).to(saved[0].scalar_type()), saved[1] * scale, torch::Tensor(),
            torch::Tensor(), torch::Tensor()};
  }
};

}  // namespace

CrossEntropySum linear_cross_entropy(const torch::Tensor& hidden, const torch::Tensor& weight,
                                     const torch::Tensor& targets, double z_loss) {
  const bool wants_gradient =
      torch::GradMode::is_enabled() && (hidden.requires_grad() || weight.requires_grad());
  const auto sums =
      LinearCrossEntropyFunction::apply(hidden, weight, targets, z_loss, wants_gradient);
  return {sums[0], sums[1]};
}

torch::Tensor token_cross_entropy(const torch::Tensor& hidden, const torch::Tensor& weight,
                                  const torch::Tensor& targets) {
  const torch::NoGradGuard no_grad;
  auto losses = torch::empty(targets.sizes(), hidden.options().dtype(torch::kFloat32));
  const auto step = chunk_tokens(weight.size(0));
  for (std::int64_t begin = 0; begin < hidden.size(0); begin += step) {
    const auto count = std::min(step, hidden.size(0) - begin);
    losses.narrow(0, begin, count)
        .copy_(chunk_loss(hidden.narrow(0, begin, count), weight, targets.narrow(0, begin, count))
                   .cross_entropy);
  }
  return losses;
}

}  // namespace zebra
