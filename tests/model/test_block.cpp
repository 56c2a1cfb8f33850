#include <torch/csrc/autograd/autograd.h>

#include "model/block.h"

#include <cmath>
#include <limits>
#include <map>

#include "support/models.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Weights = std::map<std::string, torch::Tensor>;

// The layer written down plainly in float64, with dense masks. `weights` by the paths of the
// block's parameters.
class PlainBlock {
 public:
  PlainBlock(ModelConfig model, LayerKind kind, Weights weights)
      : model_(std::move(model)), kind_(kind), weights_(std::move(weights)) {}

  torch::Tensor forward(const torch::Tensor& x) const {
    if (model_.norm_placement == NormPlacement::reordered) {
      const auto between = x + norm(attention(x), "attention_norm.weight");
      return between + norm(feed_forward(between), "feed_forward_norm.weight");
    }
    const auto between = x + attention(norm(x, "attention_norm.weight"));
    return between + feed_forward(norm(between, "feed_forward_norm.weight"));
  }

 private:
  const torch::Tensor& weight(const std::string& path) const { return weights_.at(path); }

  torch::Tensor norm(const torch::Tensor& x, const std::string& path) const {
    return x / (x.pow(2).mean(-1, /*keepdim=*/true) + model_.rms_norm_eps).sqrt() * weight(path);
  }

  // x [B, T, H D], normalised as the model has it: [B, T, H, D].
  torch::Tensor heads(const torch::Tensor& x, const std::string& norm_path) const {
    const auto split = [&](const torch::Tensor& t) {
      return t.unflatten(-1, {-1, model_.head_dim});
    };
    if (norm_path.empty() || model_.qk_norm == QkNorm::none) return split(x);
    return model_.qk_norm == QkNorm::head ? norm(split(x), norm_path) : split(norm(x, norm_path));
  }

  // x [B, T, H, D]: dimension j turns together with j + D / 2.
  torch::Tensor rotated(const torch::Tensor& x) const {
    const double theta = model_.rope_theta_of(kind_);
    if (theta == 0.0) return x;
    const auto pairs = torch::arange(0, model_.head_dim, 2, torch::kFloat64) /
                       static_cast<double>(model_.head_dim);
    const auto angles = torch::arange(x.size(1), torch::kFloat64).unsqueeze(1) *
                        torch::pow(theta, -pairs).unsqueeze(0);
    const auto cos = angles.cos().unsqueeze(1), sin = angles.sin().unsqueeze(1);
    const auto halves = x.chunk(2, -1);
    return torch::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1);
  }

  torch::Tensor attention(const torch::Tensor& x) const {
    const auto packed = x.matmul(weight("attention.qkv_weight").t());
    const auto parts =
        packed.split_with_sizes({model_.query_width(), model_.key_width(), model_.key_width()}, -1);
    const auto group = model_.num_attention_heads / model_.num_key_value_heads;
    const auto q = rotated(heads(parts[0], "attention.query_norm.weight"));
    const auto k =
        rotated(heads(parts[1], "attention.key_norm.weight")).repeat_interleave(group, 2);
    const auto v = heads(parts[2], "").repeat_interleave(group, 2);
    const auto token = torch::arange(x.size(1));
    const auto distance = token.unsqueeze(1) - token.unsqueeze(0);
    auto hidden = distance < 0;
    if (kind_ == LayerKind::local) hidden = hidden.logical_or(distance > model_.window_size);
    const auto scores =
        (torch::einsum("bthd,bshd->bhts", {q, k}) / std::sqrt(static_cast<double>(model_.head_dim)))
            .masked_fill(hidden, -std::numeric_limits<double>::infinity());
    const auto weights = scores.exp();
    auto total = weights.sum(-1, /*keepdim=*/true);
    if (model_.has_sink(kind_)) total = total + weight("attention.sink").exp().view({1, -1, 1, 1});
    const auto out = torch::einsum("bhts,bshd->bthd", {weights / total, v}).flatten(2);
    return out.matmul(weight("attention.output_weight").t());
  }

  torch::Tensor feed_forward(const torch::Tensor& x) const {
    const auto gate_up = x.matmul(weight("feed_forward.gate_up_weight").t()).chunk(2, -1);
    return (torch::silu(gate_up[0]) * gate_up[1]).matmul(weight("feed_forward.down_weight").t());
  }

  ModelConfig model_;
  LayerKind kind_;
  Weights weights_;
};

// Everything trained: no norm is 1, no sink 0.
Block random_block(const ModelConfig& model, std::int64_t layer) {
  Block block(model, layer);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : block->parameters())
    parameter.copy_(torch::randn_like(parameter) * (parameter.dim() == 2 ? 0.3 : 0.5) +
                    (parameter.dim() == 2 ? 0.0 : 1.0));
  return block;
}

void require_relative(const torch::Tensor& actual, const torch::Tensor& exact, double bound) {
  require_close(actual, exact, bound * exact.abs().max().item<double>());
}

void check_block(const ModelConfig& model, std::int64_t layer) {
  torch::manual_seed(layer + 5);
  const auto kind = model.layers[static_cast<std::size_t>(layer)];
  auto block = random_block(model, layer);
  const auto x = torch::randn({2, 19, model.hidden_size}),
             d_out = torch::randn({2, 19, model.hidden_size});
  std::vector<torch::Tensor> inputs = {x.clone().set_requires_grad(true)};
  std::vector<torch::Tensor> exact_inputs = {x.to(torch::kFloat64).clone().set_requires_grad(true)};
  Weights weights;
  for (const auto& item : block->named_parameters()) {
    inputs.push_back(item.value());
    exact_inputs.push_back(
        item.value().detach().to(torch::kFloat64).clone().set_requires_grad(true));
    weights[item.key()] = exact_inputs.back();
  }
  const auto out = block->forward(inputs[0]);
  const auto exact = PlainBlock(model, kind, weights).forward(exact_inputs[0]);
  require_relative(out, exact, 1e-5);
  const auto gradients = torch::autograd::grad({out}, inputs, {d_out});
  const auto exact_gradients =
      torch::autograd::grad({exact}, exact_inputs, {d_out.to(torch::kFloat64)});
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    INFO("gradient " << i);
    require_relative(gradients[i], exact_gradients[i], 5e-5);
  }
}

TEST_CASE("a block is its definition in float64, whatever its norms and sinks") {
  auto model = small_model("GL", 5);
  model.rms_norm_eps = 1e-3;  // so that its place matters
  model.global_rope_theta = 700.0;
  model.norm_placement = GENERATE(NormPlacement::pre, NormPlacement::reordered);
  model.qk_norm = GENERATE(QkNorm::none, QkNorm::head, QkNorm::projection);
  model.attention_sink = GENERATE(AttentionSink::none, AttentionSink::local, AttentionSink::all);
  INFO("norms " << name_of(model.norm_placement) << ", QK-norm " << name_of(model.qk_norm)
                << ", sinks " << name_of(model.attention_sink));
  for (const std::int64_t layer : {0, 1}) check_block(model, layer);
}

TEST_CASE("a block without rotary embedding, with sinks in global layers") {
  auto model = small_model("GL", 5);
  model.global_rope_theta = 0.0;
  model.attention_sink = AttentionSink::all;
  check_block(model, 0);
}

}  // namespace
}  // namespace zebra
