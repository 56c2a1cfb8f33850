#include "model/layout.h"

namespace zebra {

std::vector<LayerKind> layer_kinds(const ModelSection& model) {
  std::vector<LayerKind> kinds;
  for (const char letter : model.attention_pattern.value()) {
    kinds.push_back(letter == 'G' ? LayerKind::global : LayerKind::local);
  }
  return kinds;
}

bool has_sink(const ModelSection& model, LayerKind kind) {
  return model.attention_sink && kind == LayerKind::local;
}

std::string kind_name(LayerKind kind) { return kind == LayerKind::global ? "global" : "local"; }

std::string window_in_words(std::int64_t window) {
  const std::string keys = std::to_string(window + 1);
  return std::to_string(window) + " previous + itself = " + keys +
         (window == 0 ? " key" : " keys") + " (HF sliding_window " + keys + ", FlashAttention (" +
         std::to_string(window) + ", 0))";
}

std::int64_t packed_projection_width(const ModelSection& model) {
  return (model.num_attention_heads + 2 * model.num_key_value_heads.value()) *
         model.head_dim.value();
}

}  // namespace zebra
