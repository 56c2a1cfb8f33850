#include "model/unit_spec.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace zebra {
namespace {

constexpr std::int64_t kAlignment = 64;  // elements

std::int64_t aligned(std::int64_t elements, std::int64_t alignment) {
  return (elements + alignment - 1) / alignment * alignment;
}

ParameterSpec norm_weight(const char* path, const char* name, std::int64_t width) {
  return {path, ParameterRole::norm, kOnes, {{name, {width}}}};
}

}  // namespace

std::int64_t NamedTensor::numel() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

std::vector<std::int64_t> ParameterSpec::shape() const {
  auto whole = parts.front().shape;
  for (std::size_t i = 1; i < parts.size(); ++i) whole.front() += parts[i].shape.front();
  return whole;
}

std::int64_t ParameterSpec::numel() const {
  std::int64_t sum = 0;
  for (const auto& part : parts) sum += part.numel();
  return sum;
}

std::vector<ParameterSpec> block_parameters(const ModelConfig& model, LayerKind kind) {
  using enum ParameterRole;
  const auto d = model.hidden_size, f = model.intermediate_size;
  const auto q = model.query_width(), kv = model.key_width();
  const bool is_reordered = model.norm_placement == NormPlacement::reordered;
  // Projections that write into the residual stream start smaller, so that its variance does not
  // grow with depth.
  const double layers = static_cast<double>(model.num_hidden_layers());
  const InitialWeights inner = {0.0, model.initializer_range},
                       residual = {0.0, model.initializer_range / std::sqrt(2.0 * layers)};

  std::vector<ParameterSpec> specs = {
      {"attention.qkv_weight",
       attention,
       inner,
       {{"self_attn.q_proj.weight", {q, d}},
        {"self_attn.k_proj.weight", {kv, d}},
        {"self_attn.v_proj.weight", {kv, d}}}},
      {"attention.output_weight", attention, residual, {{"self_attn.o_proj.weight", {d, q}}}},
      {"feed_forward.gate_up_weight",
       feed_forward,
       inner,
       {{"mlp.gate_proj.weight", {f, d}}, {"mlp.up_proj.weight", {f, d}}}},
      {"feed_forward.down_weight", feed_forward, residual, {{"mlp.down_proj.weight", {d, f}}}},
      norm_weight("attention_norm.weight",
                  is_reordered ? "post_attention_layernorm.weight" : "input_layernorm.weight", d),
      norm_weight(
          "feed_forward_norm.weight",
          is_reordered ? "post_feedforward_layernorm.weight" : "post_attention_layernorm.weight",
          d)};
  if (model.qk_norm != QkNorm::none) {
    const bool per_head = model.qk_norm == QkNorm::head;
    specs.push_back(norm_weight("attention.query_norm.weight", "self_attn.q_norm.weight",
                                per_head ? model.head_dim : q));
    specs.push_back(norm_weight("attention.key_norm.weight", "self_attn.k_norm.weight",
                                per_head ? model.head_dim : kv));
  }
  if (model.has_sink(kind)) {
    specs.push_back(
        {"attention.sink", attention, kZeros, {{"self_attn.sinks", {model.num_attention_heads}}}});
  }
  return specs;
}

UnitSpec block_spec(const ModelConfig& model, std::int64_t layer) {
  const std::string number = std::to_string(layer);
  UnitSpec unit = {"layers." + number,
                   block_parameters(model, model.layers.at(static_cast<std::size_t>(layer)))};
  for (auto& parameter : unit.parameters) {
    for (auto& part : parameter.parts) part.name = "model.layers." + number + "." + part.name;
  }
  return unit;
}

std::vector<UnitSpec> unit_specs(const ModelConfig& model) {
  const std::vector<std::int64_t> table = {model.vocab_size, model.hidden_size};
  const InitialWeights initial = {0.0, model.initializer_range};
  const NamedTensor rows = {"model.embed_tokens.weight", table},
                    head_rows = {"lm_head.weight", table};
  const ParameterSpec embedding = {"embedding_weight", ParameterRole::embedding, initial, {rows}};
  const ParameterSpec head = {"output_weight", ParameterRole::head, initial, {head_rows}};
  const auto final_norm = norm_weight("final_norm.weight", "model.norm.weight", model.hidden_size);

  std::vector<UnitSpec> units;
  if (model.tie_word_embeddings) {
    units.push_back({"embedding_and_head", {embedding, final_norm}});
  } else {
    units.push_back({"embedding", {embedding}});
  }
  for (std::int64_t layer = 0; layer < model.num_hidden_layers(); ++layer) {
    units.push_back(block_spec(model, layer));
    for (auto& parameter : units.back().parameters)
      parameter.path = "block_" + std::to_string(layer) + "." + parameter.path;
  }
  if (!model.tie_word_embeddings) units.push_back({"head", {head, final_norm}});
  return units;
}

FlatOffsets flat_offsets(const UnitSpec& unit, std::int64_t ranks) {
  FlatOffsets offsets;
  const auto& parameters = unit.parameters;
  offsets.order.resize(parameters.size());
  std::iota(offsets.order.begin(), offsets.order.end(), std::size_t{0});
  std::ranges::stable_partition(offsets.order,
                                [&](std::size_t i) { return parameters[i].decayed(); });
  for (const auto i : offsets.order) {
    offsets.begins.push_back(offsets.size);
    offsets.size = aligned(offsets.size + parameters[i].numel(), kAlignment);
    if (parameters[i].decayed()) offsets.decayed_size = offsets.size;
  }
  offsets.size = aligned(offsets.size, kAlignment * ranks);
  return offsets;
}

}  // namespace zebra
