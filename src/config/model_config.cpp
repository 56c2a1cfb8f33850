#include "config/model_config.h"

namespace zebra {

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

}  // namespace zebra
