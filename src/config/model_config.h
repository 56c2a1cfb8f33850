#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "config/names.h"
#include "config/training_point.h"

// The model as the program works with it: nothing is left open. `resolve` (config/load.h) makes it
// from what a run file says.

namespace zebra {

/// Stretches the rotary embedding to longer sequences. What a type does not use stays as it is.
struct RopeScalingConfig {
  RopeScaling type = RopeScaling::none;
  double factor = 1.0;
  std::int64_t original_max_position_embeddings = 0;  ///< dynamic, yarn and llama3
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  ScaledLayers layers = ScaledLayers::all;

  bool operator==(const RopeScalingConfig&) const = default;
};

/// Up to and including a point of the training, local layers see so many previous tokens.
struct WindowStage {
  TrainingPoint until;
  std::int64_t window = 0;

  bool operator==(const WindowStage&) const = default;
};

/// Names are HuggingFace's where it has one.
struct ModelConfig {
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t vocab_size = 0;
  double rms_norm_eps = 1e-5;
  double initializer_range = 0.02;
  std::int64_t max_position_embeddings = 0;
  double rope_theta = 10000.0;
  double global_rope_theta = 10000.0;  ///< of global layers; 0: no rotary embedding
  double local_rope_theta = 10000.0;   ///< of local layers; 0: no rotary embedding
  RopeScalingConfig rope_scaling;
  bool tie_word_embeddings = false;
  NormPlacement norm_placement = NormPlacement::pre;
  QkNorm qk_norm = QkNorm::none;
  AttentionSink attention_sink = AttentionSink::none;
  std::vector<LayerKind> layers;
  std::int64_t window_size = 0;              ///< previous tokens that a local layer sees
  std::vector<WindowStage> window_schedule;  ///< in training, before window_size; by `until`
  std::filesystem::path init_from;  ///< a run or checkpoint, whose weights training starts from

  std::int64_t num_hidden_layers() const { return static_cast<std::int64_t>(layers.size()); }
  std::int64_t layers_of(LayerKind kind) const { return std::ranges::count(layers, kind); }
  bool has(LayerKind kind) const { return layers_of(kind) > 0; }
  /// Whether layers of that kind have attention sinks.
  bool has_sink(LayerKind kind) const {
    return attention_sink == AttentionSink::all ||
           (attention_sink == AttentionSink::local && kind == LayerKind::local);
  }
  double rope_theta_of(LayerKind kind) const {
    return kind == LayerKind::global ? global_rope_theta : local_rope_theta;
  }
  /// The scaling of layers of that kind; none where only global ones are scaled.
  RopeScalingConfig rope_scaling_of(LayerKind kind) const {
    const bool scaled = kind == LayerKind::global || rope_scaling.layers == ScaledLayers::all;
    return scaled ? rope_scaling : RopeScalingConfig();
  }

  std::int64_t query_width() const { return num_attention_heads * head_dim; }
  std::int64_t key_width() const { return num_key_value_heads * head_dim; }
  /// Width of the packed query, key and value projection: (Hq + 2 Hkv) D.
  std::int64_t packed_projection_width() const { return query_width() + 2 * key_width(); }

  bool operator==(const ModelConfig&) const = default;
};

/// The kinds of layers as one letter each, G or L, and back (which takes no other letters).
std::string pattern_of(const std::vector<LayerKind>& layers);
std::vector<LayerKind> layers_of_pattern(const std::string& pattern);

/// The same model with every layer global, for comparisons.
ModelConfig with_full_attention(ModelConfig model);

/// "global" or "local".
std::string kind_name(LayerKind kind);

/// The window in the words of every convention, because they differ by one:
/// "512 previous + itself = 513 keys (HF sliding_window 513, FlashAttention (512, 0))".
std::string window_in_words(std::int64_t window);

/// Whether the backward pass computes a layer's activations again.
inline bool is_recomputed(ActivationCheckpointing mode, std::size_t layer) {
  if (mode == ActivationCheckpointing::every_2) return layer % 2 == 0;
  return mode != ActivationCheckpointing::none;
}

}  // namespace zebra
