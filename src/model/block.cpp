#include "model/block.h"

#include <cmath>

namespace zebra {

BlockImpl::BlockImpl(const ModelSection& model, std::int64_t layer, ParameterMemory memory)
    : model_(model),
      layer_(layer),
      kind_(layer_kinds(model).at(static_cast<std::size_t>(layer))),
      memory_(memory) {
  reset();
}

void BlockImpl::reset() {
  attention_norm =
      register_module("attention_norm", RMSNorm(model_.hidden_size, model_.rms_norm_eps, memory_));
  attention = register_module("attention", Attention(model_, kind_, memory_));
  feed_forward_norm = register_module("feed_forward_norm",
                                      RMSNorm(model_.hidden_size, model_.rms_norm_eps, memory_));
  feed_forward = register_module("feed_forward", FeedForward(model_, memory_));
}

torch::Tensor BlockImpl::forward(const torch::Tensor& x, const SequenceContext& context,
                                 AttentionResult* saved) {
  const auto before = attention_norm->forward(x, {});
  const auto attended = attention->forward(before.normed, context, saved);
  const auto between = feed_forward_norm->forward(before.sum, attended);
  return between.sum + feed_forward->forward(between.normed);
}

torch::Tensor BlockImpl::forward(const torch::Tensor& x) {
  return forward(x, make_sequence_context(model_, x.size(1), x.device()));
}

torch::Tensor BlockImpl::forward_cached(const torch::Tensor& x, const SequenceContext& context,
                                        KeyValueCache& cache) {
  const auto attended = attention->forward_cached(attention_norm->forward(x), context, cache);
  const auto between = feed_forward_norm->forward(x, attended);
  return between.sum + feed_forward->forward(between.normed);
}

ParameterUnit BlockImpl::unit() const {
  const std::string prefix = "model.layers." + std::to_string(layer_) + ".";
  const auto d = model_.hidden_size, f = model_.intermediate_size;
  const auto q_rows = model_.num_attention_heads * model_.head_dim.value();
  const auto kv_rows = model_.num_key_value_heads.value() * model_.head_dim.value();
  // Projections that write into the residual stream start smaller, so that its variance does not
  // grow with depth.
  const double layers = static_cast<double>(model_.num_hidden_layers);
  const InitialWeights weights = {0.0, model_.initializer_range},
                       output_weights = {0.0, model_.initializer_range / std::sqrt(2.0 * layers)};
  ParameterUnit unit = {
      "layers." + std::to_string(layer_),
      {{attention->qkv_weight,
        {{prefix + "self_attn.q_proj.weight", {q_rows, d}},
         {prefix + "self_attn.k_proj.weight", {kv_rows, d}},
         {prefix + "self_attn.v_proj.weight", {kv_rows, d}}},
        weights},
       {attention->output_weight,
        {{prefix + "self_attn.o_proj.weight", {d, q_rows}}},
        output_weights},
       {feed_forward->gate_up_weight,
        {{prefix + "mlp.gate_proj.weight", {f, d}}, {prefix + "mlp.up_proj.weight", {f, d}}},
        weights},
       {feed_forward->down_weight, {{prefix + "mlp.down_proj.weight", {d, f}}}, output_weights},
       {attention_norm->weight, {{prefix + "input_layernorm.weight", {d}}}, kOnes},
       {feed_forward_norm->weight, {{prefix + "post_attention_layernorm.weight", {d}}}, kOnes}}};
  auto& parameters = unit.parameters;
  if (model_.qk_norm) {
    const std::vector<std::int64_t> shape = {model_.head_dim.value()};
    parameters.push_back(
        {attention->query_norm->weight, {{prefix + "self_attn.q_norm.weight", shape}}, kOnes});
    parameters.push_back(
        {attention->key_norm->weight, {{prefix + "self_attn.k_norm.weight", shape}}, kOnes});
  }
  if (attention->sink.defined()) {
    parameters.push_back(
        {attention->sink, {{prefix + "self_attn.sinks", {model_.num_attention_heads}}}, kZeros});
  }
  return unit;
}

}  // namespace zebra
