#include "ops/vocabulary.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>

#include "ops/accumulated_gradient.h"
#include "ops/fused_kernels.h"
#include "ops/linear.h"

namespace zebra {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

torch::Tensor fused_gradient(const torch::Tensor& tokens, const torch::Tensor& d_out,
                             const torch::Tensor& weight) {
  const auto sum = accumulated_gradient(weight);
  const auto gradient =
      sum.defined() ? sum : torch::zeros(weight.sizes(), d_out.options().dtype(torch::kFloat32));
  const auto [sorted, order] = torch::sort(tokens.flatten(), /*stable=*/std::optional<bool>(true));
  const auto rows = d_out.contiguous();
  launch(kernels::EmbeddingBackward{.rows = sorted.numel(),
                                    .width = rows.size(-1),
                                    .vocabulary = gradient.size(0),
                                    .type = element_type(rows),
                                    .sorted_tokens = sorted.const_data_ptr<std::int64_t>(),
                                    .order = order.const_data_ptr<std::int64_t>(),
                                    .d_out = rows.const_data_ptr(),
                                    .d_weight = gradient.mutable_data_ptr<float>()},
         d_out.device());
  return sum.defined() ? torch::Tensor() : gradient;
}

torch::Tensor plain_gradient(const torch::Tensor& tokens, const torch::Tensor& d_out,
                             std::int64_t vocabulary) {
  return at::embedding_dense_backward(d_out.to(torch::kFloat32), tokens, vocabulary,
                                      /*padding_idx=*/-1, /*scale_grad_by_freq=*/false);
}

class EmbeddingFunction : public torch::autograd::Function<EmbeddingFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& tokens,
                               const torch::Tensor& weight) {
    context->save_for_backward({tokens, weight});
    return at::embedding(weight, tokens);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &tokens = saved[0], &weight = saved[1], &d_out = gradients[0];
    return {torch::Tensor(), uses_fused_kernels(d_out)
                                 ? fused_gradient(tokens, d_out, weight)
                                 : plain_gradient(tokens, d_out, weight.size(0))};
  }
};

static_assert(kIgnoredTarget == kernels::kNoTarget);

// Logits of one chunk: large enough for full matrix-product speed, small beside the activations.
constexpr std::int64_t kChunkLogits = std::int64_t{1} << 23;
// Each chunk reads and writes the gradient of the head's weights, and a GPU multiplies some hundred
// times as fast as a CPU but moves memory only tens of times as fast.
constexpr std::int64_t kChunkLogitsOnGpu = std::int64_t{1} << 27, kFewestTokensOnGpu = 2048;

/// Softmax and loss of n tokens.
struct Chunk {
  torch::Tensor logits;         // [n, V]; overwritten
  torch::Tensor targets;        // [n]
  torch::Tensor cross_entropy;  // [n] float32, to be written, 0 where ignored
  torch::Tensor log_sum_exp;    // [n] float32, to be written
  double z_loss;
  bool wants_gradient;
};

// Both return the gradient of the objective in the logits, in their type, where it is wanted.

torch::Tensor fused_chunk(const Chunk& chunk) {
  launch(kernels::CrossEntropy{.rows = chunk.logits.size(0),
                               .vocabulary = chunk.logits.size(1),
                               .type = element_type(chunk.logits),
                               .logits = chunk.logits.const_data_ptr(),
                               .targets = chunk.targets.const_data_ptr<std::int64_t>(),
                               .z_loss = static_cast<float>(chunk.z_loss),
                               .cross_entropy = chunk.cross_entropy.mutable_data_ptr<float>(),
                               .log_sum_exp = chunk.log_sum_exp.mutable_data_ptr<float>(),
                               .gradient = chunk.wants_gradient ? chunk.logits.mutable_data_ptr()
                                                                : nullptr},
         chunk.logits.device());
  return chunk.wants_gradient ? chunk.logits : torch::Tensor();
}

torch::Tensor plain_chunk(const Chunk& chunk) {
  auto logits = chunk.logits.to(torch::kFloat32);
  const auto ignored = chunk.targets == kIgnoredTarget;
  const auto index = chunk.targets.masked_fill(ignored, 0).unsqueeze(-1);
  torch::logsumexp_out(const_cast<torch::Tensor&>(chunk.log_sum_exp), logits, -1);
  const auto target_logit = logits.gather(-1, index).squeeze(-1);
  chunk.cross_entropy.copy_((chunk.log_sum_exp - target_logit).masked_fill(ignored, 0.0));
  if (!chunk.wants_gradient) return {};
  logits.sub_(chunk.log_sum_exp.unsqueeze(-1)).exp_();
  if (chunk.z_loss != 0.0) {
    logits.mul_((chunk.log_sum_exp * (2.0 * chunk.z_loss) + 1.0).unsqueeze(-1));
  }
  logits.scatter_add_(-1, index, torch::full_like(chunk.log_sum_exp, -1.0).unsqueeze(-1));
  logits.masked_fill_(ignored.unsqueeze(-1), 0.0);
  return logits.to(chunk.logits.scalar_type());
}

/// The losses of all tokens, a chunk at a time; logits and their gradient never exist as a whole.
/// Losses and hidden_gradient are without `target_weights`, weight_gradient is with them.
class ChunkedLoss {
 public:
  ChunkedLoss(const torch::Tensor& hidden, const torch::Tensor& weight,
              const torch::Tensor& targets, const torch::Tensor& target_weights, double z_loss,
              bool wants_gradient)
      : hidden_(hidden.contiguous().to(product_type(hidden))),
        weight_(weight.to(product_type(hidden))),
        targets_(targets.contiguous()),
        target_weights_(target_weights),
        z_loss_(z_loss),
        tokens_(loss_chunk_tokens(weight.size(0), hidden.is_cpu())) {
    const auto floats = hidden.options().dtype(torch::kFloat32);
    cross_entropy = torch::empty({hidden.size(0)}, floats);
    log_sum_exp = torch::empty({hidden.size(0)}, floats);
    if (wants_gradient) {
      hidden_gradient = torch::empty(hidden.sizes(), hidden.options());
      weight_gradient = torch::zeros(weight.sizes(), floats);
    }
    const auto all = hidden_.size(0);
    const auto buffer = torch::empty({std::min(tokens_, all), weight_.size(0)}, hidden_.options());
    for (std::int64_t begin = 0; begin < all; begin += tokens_) {
      compute_chunk(begin, std::min(tokens_, all - begin), buffer);
    }
  }

  torch::Tensor cross_entropy, log_sum_exp;        // [N] float32
  torch::Tensor hidden_gradient, weight_gradient;  // undefined unless wanted

 private:
  void compute_chunk(std::int64_t begin, std::int64_t count, const torch::Tensor& buffer) {
    const auto part = [&](const torch::Tensor& x) { return x.narrow(0, begin, count); };
    const auto rows = part(hidden_);
    auto logits = buffer.narrow(0, 0, count);
    matrix_product_out(logits, rows, weight_.t());
    const Chunk chunk = {logits,  part(targets_),           part(cross_entropy), part(log_sum_exp),
                         z_loss_, hidden_gradient.defined()};
    const auto gradient = uses_fused_kernels(logits) ? fused_chunk(chunk) : plain_chunk(chunk);
    if (!chunk.wants_gradient) return;
    auto d_rows = part(hidden_gradient);
    if (d_rows.scalar_type() == gradient.scalar_type()) {
      matrix_product_out(d_rows, gradient, weight_);
    } else {
      d_rows.copy_(matrix_product(gradient, weight_));
    }
    // A weight scales a row of the narrower factor (the gradient of the logits is V wide), which in
    // bfloat16 products is one rounding more.
    const auto weighted_rows =
        target_weights_.defined()
            ? (rows * part(target_weights_).unsqueeze(-1)).to(rows.scalar_type())
            : rows;
    add_matrix_product(weight_gradient, gradient.t(), weighted_rows);
  }

  torch::Tensor hidden_, weight_;  // in product_type
  torch::Tensor targets_, target_weights_;
  double z_loss_;
  std::int64_t tokens_;  // of a chunk
};

class LinearCrossEntropyFunction : public torch::autograd::Function<LinearCrossEntropyFunction> {
 public:
  static variable_list forward(AutogradContext* context, const torch::Tensor& hidden,
                               const torch::Tensor& weight, const torch::Tensor& targets,
                               const std::optional<torch::Tensor>& weights_of_targets,
                               double z_loss, bool wants_gradient) {
    const auto target_weights = weights_of_targets.value_or(torch::Tensor());
    const ChunkedLoss loss(hidden, weight, targets, target_weights, z_loss, wants_gradient);
    const auto sum = [&](const torch::Tensor& terms) {
      return target_weights.defined() ? (terms * target_weights).sum() : terms.sum();
    };
    const auto cross_entropy = sum(loss.cross_entropy);
    auto objective = cross_entropy.clone();
    if (z_loss != 0.0) {
      objective.add_(sum(loss.log_sum_exp.square() * (targets != kIgnoredTarget)), z_loss);
    }
    if (wants_gradient) {
      context->save_for_backward(
          {loss.hidden_gradient, loss.weight_gradient, weight, target_weights});
    }
    context->mark_non_differentiable({cross_entropy, loss.log_sum_exp});
    context->set_materialize_grads(false);  // of the two
    return {objective, cross_entropy, loss.log_sum_exp};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &scale = gradients[0], &target_weights = saved[3];
    const auto row_scale = target_weights.defined() ? target_weights.unsqueeze(-1) * scale : scale;
    const auto hidden_gradient = (saved[0] * row_scale).to(saved[0].scalar_type());
    if (auto sum = accumulated_gradient(saved[2]); sum.defined()) {
      sum.addcmul_(saved[1], scale);
      return {hidden_gradient, {}, {}, {}, {}, {}};
    }
    return {hidden_gradient, saved[1] * scale, {}, {}, {}, {}};
  }
};

}  // namespace

std::int64_t loss_chunk_tokens(std::int64_t vocabulary, bool on_cpu) {
  return on_cpu ? std::max<std::int64_t>(16, kChunkLogits / vocabulary)
                : std::max(kFewestTokensOnGpu, kChunkLogitsOnGpu / vocabulary);
}

torch::Tensor token_embedding(const torch::Tensor& tokens, const torch::Tensor& weight) {
  return EmbeddingFunction::apply(tokens, weight);
}

CrossEntropySum linear_cross_entropy(const torch::Tensor& hidden, const torch::Tensor& weight,
                                     const torch::Tensor& targets, double z_loss,
                                     const torch::Tensor& target_weights) {
  const bool wants_gradient =
      torch::GradMode::is_enabled() && (hidden.requires_grad() || weight.requires_grad());
  const auto weights = target_weights.defined() ? std::optional(target_weights) : std::nullopt;
  const auto sums =
      LinearCrossEntropyFunction::apply(hidden, weight, targets, weights, z_loss, wants_gradient);
  return {sums[0], sums[1], sums[2]};
}

torch::Tensor token_cross_entropy(const torch::Tensor& hidden, const torch::Tensor& weight,
                                  const torch::Tensor& targets) {
  const torch::NoGradGuard no_grad;
  return ChunkedLoss(hidden, weight, targets, /*target_weights=*/{}, /*z_loss=*/0.0,
                     /*wants_gradient=*/false)
      .cross_entropy;
}

}  // namespace zebra
