#include "config/model_config.h"

#include "config/config.h"

namespace zebra {
namespace {

/// The members that are the same in a model as written and as resolved.
template <class From, class To>
void copy_common_members(const From& from, To& to) {
  to.hidden_size = from.hidden_size;
  to.intermediate_size = from.intermediate_size;
  to.num_attention_heads = from.num_attention_heads;
  to.rms_norm_eps = from.rms_norm_eps;
  to.initializer_range = from.initializer_range;
  to.rope_theta = from.rope_theta;
  to.rope_scaling.type = from.rope_scaling.type;
  to.rope_scaling.factor = from.rope_scaling.factor;
  to.rope_scaling.beta_fast = from.rope_scaling.beta_fast;
  to.rope_scaling.beta_slow = from.rope_scaling.beta_slow;
  to.rope_scaling.low_freq_factor = from.rope_scaling.low_freq_factor;
  to.rope_scaling.high_freq_factor = from.rope_scaling.high_freq_factor;
  to.rope_scaling.layers = from.rope_scaling.layers;
  to.tie_word_embeddings = from.tie_word_embeddings;
  to.qk_norm = from.qk_norm;
  to.attention_sink = from.attention_sink;
  to.window_schedule = from.window_schedule;
}

}  // namespace

std::string pattern_of(const std::vector<LayerKind>& layers) {
  std::string pattern;
  for (const auto kind : layers) pattern += kind == LayerKind::global ? 'G' : 'L';
  return pattern;
}

std::vector<LayerKind> layers_of_pattern(const std::string& pattern) {
  std::vector<LayerKind> layers;
  for (const char letter : pattern)
    layers.push_back(letter == 'G' ? LayerKind::global : LayerKind::local);
  return layers;
}

ModelConfig with_full_attention(ModelConfig model) {
  std::ranges::fill(model.layers, LayerKind::global);
  return model;
}

std::string kind_name(LayerKind kind) { return kind == LayerKind::global ? "global" : "local"; }

std::string window_in_words(std::int64_t window) {
  const std::string keys = std::to_string(window + 1);
  return std::to_string(window) + " previous + itself = " + keys +
         (window == 0 ? " key" : " keys") + " (HF sliding_window " + keys + ", FlashAttention (" +
         std::to_string(window) + ", 0))";
}

ModelConfig resolved(const ModelSection& section) {
  ModelConfig model;
  copy_common_members(section, model);
  model.num_key_value_heads = section.num_key_value_heads.value();
  model.head_dim = section.head_dim.value();
  model.vocab_size = section.vocab_size.value_or(0);
  model.max_position_embeddings = section.max_position_embeddings.value();
  model.global_rope_theta = section.global_rope_theta.value_or(section.rope_theta);
  model.local_rope_theta = section.local_rope_theta.value_or(section.rope_theta);
  model.rope_scaling.original_max_position_embeddings =
      section.rope_scaling.original_max_position_embeddings.value_or(0);
  model.norm_placement = section.norm_placement.value_or(NormPlacement::pre);
  model.layers = layers_of_pattern(section.attention_pattern.value());
  model.window_size = section.window_size.value_or(0);
  model.init_from = section.init_from.value_or("");
  return model;
}

ModelSection written(const ModelConfig& model) {
  ModelSection section;
  copy_common_members(model, section);
  section.num_hidden_layers = model.num_hidden_layers();
  section.num_key_value_heads = model.num_key_value_heads;
  section.head_dim = model.head_dim;
  section.vocab_size = model.vocab_size;
  section.max_position_embeddings = model.max_position_embeddings;
  for (const auto kind : {LayerKind::global, LayerKind::local}) {
    auto& own = kind == LayerKind::global ? section.global_rope_theta : section.local_rope_theta;
    if (model.rope_theta_of(kind) != model.rope_theta) own = model.rope_theta_of(kind);
  }
  if (const auto original = model.rope_scaling.original_max_position_embeddings; original != 0)
    section.rope_scaling.original_max_position_embeddings = original;
  if (model.norm_placement != NormPlacement::pre) section.norm_placement = model.norm_placement;
  section.attention_pattern = pattern_of(model.layers);
  if (model.window_size != 0 || model.has(LayerKind::local))
    section.window_size = model.window_size;
  if (!model.init_from.empty()) section.init_from = model.init_from;
  return section;
}

}  // namespace zebra
