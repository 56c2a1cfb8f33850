#include "interop/exported_config.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "config/model_config.h"
#include "interop/huggingface_architecture.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

struct Rope {
  double theta = 0.0;
  RopeScalingConfig scaling;

  bool is_rotary() const { return theta != 0.0; }
};

bool scale_alike(const Rope& a, const Rope& b) {
  return a.scaling.type == b.scaling.type;  // there is one scaling section
}

Rope rope_of(const ModelConfig& model, LayerKind kind) {
  Rope rope = {model.rope_theta_of(kind), model.rope_scaling_of(kind)};
  rope.scaling.layers = ScaledLayers::all;
  return rope;
}

// The kinds of layers that the model has.
std::vector<LayerKind> kinds_of(const ModelConfig& model) {
  std::vector<LayerKind> kinds;
  for (const auto kind : {LayerKind::global, LayerKind::local}) {
    if (model.has(kind)) kinds.push_back(kind);
  }
  return kinds;
}

// Of layers that rotate; none where no layer does.
std::vector<Rope> rotary_ropes(const ModelConfig& model) {
  std::vector<Rope> ropes;
  for (const auto kind : kinds_of(model)) {
    if (const auto rope = rope_of(model, kind); rope.is_rotary()) ropes.push_back(rope);
  }
  return ropes;
}

bool has_sinks(const ModelConfig& model) {
  return std::ranges::any_of(kinds_of(model), [&](LayerKind kind) { return model.has_sink(kind); });
}

// The rotary embedding of all layers; nothing where they differ in it, or one kind has none.
std::optional<Rope> common_rope(const ModelConfig& model) {
  const auto ropes = rotary_ropes(model);
  if (ropes.size() != kinds_of(model).size()) return std::nullopt;
  const bool alike =
      ropes.front().theta == ropes.back().theta && scale_alike(ropes.front(), ropes.back());
  return alike ? std::optional(ropes.front()) : std::nullopt;
}

// What no stock architecture computes, whatever else the model has.
bool fits_no_stock(const ModelConfig& model) {
  const bool is_dynamic = std::ranges::any_of(rotary_ropes(model), [](const Rope& rope) {
    return rope.scaling.type == RopeScaling::dynamic;
  });
  return is_dynamic || (model.has(LayerKind::local) && model.window_size == 0);
}

bool fits_olmo3(const ModelConfig& model) {
  return model.norm_placement == NormPlacement::reordered && model.qk_norm == QkNorm::projection &&
         !has_sinks(model) && rotary_ropes(model).size() == kinds_of(model).size();
}

bool fits_granite_swa(const ModelConfig& model) {
  const auto ropes = rotary_ropes(model);
  return model.norm_placement == NormPlacement::pre && model.qk_norm == QkNorm::none &&
         (ropes.empty() || scale_alike(ropes.front(), ropes.back()));
}

// Llama's body and nothing else; cwm and llama want heads that divide the width.
std::optional<ExportedArchitecture> plain_architecture(const ModelConfig& model) {
  if (model.norm_placement != NormPlacement::pre || model.qk_norm != QkNorm::none ||
      has_sinks(model) || !common_rope(model)) {
    return std::nullopt;
  }
  if (!model.has(LayerKind::global)) return ExportedArchitecture::mistral;
  if (model.hidden_size % model.num_attention_heads != 0) return std::nullopt;
  return model.has(LayerKind::local) ? ExportedArchitecture::cwm : ExportedArchitecture::llama;
}

// "LlamaForCausalLM" of llama, "GraniteSWAForCausalLM" of granite_swa.
std::string class_name(ExportedArchitecture architecture) {
  if (architecture == ExportedArchitecture::granite_swa) return "GraniteSWAForCausalLM";
  std::string name = name_of(architecture);
  name.front() = static_cast<char>(std::toupper(name.front()));
  return name + "ForCausalLM";
}

std::string rope_type(RopeScaling type) {
  return type == RopeScaling::none ? "default" : name_of(type);
}

// The scaling's own values, under the names that both spellings share.
Json rope_values(const RopeScalingConfig& scaling) {
  Json values = {{"rope_type", rope_type(scaling.type)}};
  if (scaling.type == RopeScaling::none) return values;
  values["factor"] = scaling.factor;
  if (scaling.type != RopeScaling::linear) {
    values["original_max_position_embeddings"] = scaling.original_max_position_embeddings;
  }
  if (scaling.type == RopeScaling::yarn) {
    values["beta_fast"] = scaling.beta_fast;
    values["beta_slow"] = scaling.beta_slow;
  }
  if (scaling.type == RopeScaling::llama3) {
    values["low_freq_factor"] = scaling.low_freq_factor;
    values["high_freq_factor"] = scaling.high_freq_factor;
  }
  if (scaling.layers == ScaledLayers::global) values["layers"] = "global";
  return values;
}

// As transformers before version 5 spells it.
void add_old_rope(Json& json, const Rope& rope) {
  json["rope_theta"] = rope.theta;
  json["rope_scaling"] = nullptr;
  if (rope.scaling.type != RopeScaling::none) {
    json["rope_scaling"] = rope_values(rope.scaling);
    // The key before transformers 4.43.
    json["rope_scaling"]["type"] = rope_type(rope.scaling.type);
  }
}

Json rope_parameters(const Rope& rope) {
  Json values = rope_values(rope.scaling);
  values["rope_theta"] = rope.theta;
  return values;
}

void add_rope(Json& json, const Rope& rope) {
  add_old_rope(json, rope);
  json["rope_parameters"] = rope_parameters(rope);
}

const char* layer_type(LayerKind kind) {
  return kind == LayerKind::global ? kFullAttention : kSlidingAttention;
}

// A map for each kind of layer. The old spelling has one theta, and scales full layers alone.
void add_rope_by_kind(Json& json, const ModelConfig& model) {
  const auto kinds = kinds_of(model);
  const auto first = rope_of(model, kinds.front()), last = rope_of(model, kinds.back());
  const bool has_old_spelling =
      first.theta == last.theta &&
      (kinds.back() == LayerKind::global || last.scaling.type == RopeScaling::none);
  if (has_old_spelling) add_old_rope(json, first);
  for (const auto kind : kinds)
    json["rope_parameters"][layer_type(kind)] = rope_parameters(rope_of(model, kind));
}

void add_granite_swa_keys(Json& json, const ModelConfig& model) {
  const auto ropes = rotary_ropes(model);
  // Where no layer rotates nothing reads it, but it must be there.
  add_rope(json, ropes.empty() ? Rope{model.rope_theta, RopeScalingConfig()} : ropes.front());
  for (const auto kind : model.layers)
    json["layer_rope_theta"].push_back(model.rope_theta_of(kind));
  json["attention_multiplier"] = 1.0 / std::sqrt(static_cast<double>(model.head_dim));
  for (const char* key : {"embedding_multiplier", "residual_multiplier", "logits_scaling"})
    json[key] = 1.0;
}

void add_zebra_keys(Json& json, const ModelConfig& model) {
  json["auto_map"] = {{"AutoConfig", "modeling_zebra.ZebraConfig"},
                      {"AutoModel", "modeling_zebra.ZebraModel"},
                      {"AutoModelForCausalLM", "modeling_zebra.ZebraForCausalLM"}};
  json["attention_pattern"] = pattern_of(model.layers);
  if (model.has(LayerKind::local)) json["window_size"] = model.window_size;
  for (const auto kind : {LayerKind::global, LayerKind::local}) {
    if (model.rope_theta_of(kind) != model.rope_theta)
      json[kind_name(kind) + "_rope_theta"] = model.rope_theta_of(kind);
  }
  if (model.norm_placement != NormPlacement::pre)
    json["norm_placement"] = name_of(model.norm_placement);
  if (model.qk_norm == QkNorm::head) json["qk_norm"] = true;
  if (model.qk_norm == QkNorm::projection) json["qk_norm"] = name_of(model.qk_norm);
  if (model.attention_sink == AttentionSink::local) json["attention_sink"] = true;
  if (model.attention_sink == AttentionSink::all)
    json["attention_sink"] = name_of(model.attention_sink);
}

// The rotary embedding, and what only this architecture has.
void add_own_keys(Json& json, const ModelConfig& model, ExportedArchitecture architecture) {
  using enum ExportedArchitecture;
  switch (architecture) {
    case llama:
    case mistral:
    case cwm:
      add_rope(json, *common_rope(model));
      break;
    case qwen3:
      add_rope(json, *common_rope(model));
      json["use_sliding_window"] = model.has(LayerKind::local);
      break;
    case olmo3:
      add_rope_by_kind(json, model);
      json["pad_token_id"] = nullptr;  // 1 where it is absent, whose embedding is not trained then
      break;
    case granite_swa:
      add_granite_swa_keys(json, model);
      break;
    case zebra:
      add_rope(json, {model.rope_theta, model.rope_scaling});
      add_zebra_keys(json, model);
      break;
  }
}

// Llama's body, which all architectures share.
Json body(const Config& config, ExportedArchitecture architecture, DocumentTokens tokens) {
  const auto& model = config.model;
  const char* type = config.train.precision == Precision::bf16 ? "bfloat16" : "float32";
  return {{"architectures", {class_name(architecture)}},
          {"model_type", name_of(architecture)},
          {"hidden_act", "silu"},
          {"hidden_size", model.hidden_size},
          {"intermediate_size", model.intermediate_size},
          {"num_hidden_layers", model.num_hidden_layers()},
          {"num_attention_heads", model.num_attention_heads},
          {"num_key_value_heads", model.num_key_value_heads},
          {"head_dim", model.head_dim},
          {"vocab_size", model.vocab_size},
          {"max_position_embeddings", model.max_position_embeddings},
          {"rms_norm_eps", model.rms_norm_eps},
          {"initializer_range", model.initializer_range},
          {"attention_bias", false},
          {"mlp_bias", false},
          {"attention_dropout", 0.0},
          {"tie_word_embeddings", model.tie_word_embeddings},
          {"bos_token_id", tokens.bos},
          {"eos_token_id", {tokens.eos}},
          {"dtype", type},
          {"torch_dtype", type},  // the key before transformers 4.56
          {"use_cache", true},
          {"transformers_version", kTransformersVersion}};
}

}  // namespace

ExportedArchitecture exported_architecture(const ModelConfig& model) {
  if (fits_no_stock(model)) return ExportedArchitecture::zebra;
  if (const auto plain = plain_architecture(model)) return *plain;
  const bool is_qwen3 = model.norm_placement == NormPlacement::pre &&
                        model.qk_norm == QkNorm::head && !has_sinks(model) && common_rope(model);
  if (is_qwen3) return ExportedArchitecture::qwen3;
  if (fits_olmo3(model)) return ExportedArchitecture::olmo3;
  return fits_granite_swa(model) ? ExportedArchitecture::granite_swa : ExportedArchitecture::zebra;
}

std::string exported_config(const Config& config, DocumentTokens tokens) {
  using enum ExportedArchitecture;
  const auto& model = config.model;
  const auto architecture = exported_architecture(model);
  Json json = body(config, architecture, tokens);
  if (model.has(LayerKind::local)) json["sliding_window"] = model.window_size + 1;
  if (architecture != llama && architecture != mistral) {  // whose layers are all alike
    for (const auto kind : model.layers) json["layer_types"].push_back(layer_type(kind));
  }
  add_own_keys(json, model, architecture);
  return json.dump(2) + "\n";
}

}  // namespace zebra
