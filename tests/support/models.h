#pragma once

#include <string>

#include "config/config.h"

namespace zebra::testing {

/// A model small enough for exhaustive tests.
inline ModelConfig small_model(const std::string& pattern = "GLLG", std::int64_t window = 5) {
  ModelConfig model;
  model.hidden_size = 24;
  model.intermediate_size = 40;
  model.num_attention_heads = 4;
  model.num_key_value_heads = 2;
  model.head_dim = 6;
  model.vocab_size = 53;
  model.max_position_embeddings = 64;
  model.window_size = window;
  model.layers = layers_of_pattern(pattern);
  return model;
}

/// Options of later models, none of them or many together.
enum class ModelOptions {
  none,
  heads_normed,       ///< QK-norm of each head, sinks in local layers
  projections_normed  ///< QK-norm of whole projections, reordered norms, sinks in all layers
};

inline ModelConfig with_options(ModelConfig model, ModelOptions options) {
  if (options == ModelOptions::heads_normed) {
    model.qk_norm = QkNorm::head;
    model.attention_sink = AttentionSink::local;
  } else if (options == ModelOptions::projections_normed) {
    model.norm_placement = NormPlacement::reordered;
    model.qk_norm = QkNorm::projection;
    model.attention_sink = AttentionSink::all;
  }
  return model;
}

/// The attention part of Llama-2-7B's shape, for closed forms.
inline ModelConfig llama_7b(std::int64_t group) {
  ModelConfig model;
  model.hidden_size = 4096;
  model.intermediate_size = 11008;
  model.num_attention_heads = 32;
  model.num_key_value_heads = 32;
  model.head_dim = 128;
  model.vocab_size = 32000;
  model.window_size = 512;
  std::string pattern;
  for (std::int64_t layer = 0; layer < 32; ++layer) pattern += layer % group == 0 ? 'G' : 'L';
  model.layers = layers_of_pattern(pattern);
  return model;
}

}  // namespace zebra::testing
