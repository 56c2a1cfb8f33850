#include "model/cost.h"

#include <algorithm>

namespace zebra {

ParameterCount count_parameters(const ModelSection& model) {
  const auto n = model.num_hidden_layers, d = model.hidden_size;
  const auto q = model.num_attention_heads * model.head_dim.value();
  ParameterCount count;
  count.embedding = model.vocab_size.value() * d;
  count.attention = n * d * (packed_projection_width(model) + q);
  count.feed_forward = n * 3 * d * model.intermediate_size;
  for (const auto kind : layer_kinds(model)) {
    if (has_sink(model, kind)) count.attention += model.num_attention_heads;
  }
  count.norms = (2 * n + 1) * d + (model.qk_norm ? 2 * n * model.head_dim.value() : 0);
  count.head = model.tie_word_embeddings ? 0 : model.vocab_size.value() * d;
  return count;
}

double mean_visible_keys(LayerKind kind, std::int64_t window, std::int64_t length) {
  const auto N = static_cast<double>(length);
  if (kind == LayerKind::global) return (N + 1.0) / 2.0;
  const auto k = static_cast<double>(std::min(window + 1, length));
  return (k * (k + 1.0) / 2.0 + (N - k) * k) / N;
}

ForwardFlops forward_flops_per_token(const ModelSection& model, std::int64_t length) {
  const auto n = static_cast<double>(model.num_hidden_layers),
             d = static_cast<double>(model.hidden_size);
  const auto q = static_cast<double>(model.num_attention_heads * model.head_dim.value());
  ForwardFlops flops;
  flops.projections = 2.0 * n * d * (static_cast<double>(packed_projection_width(model)) + q);
  flops.feed_forward = 2.0 * n * 3.0 * d * static_cast<double>(model.intermediate_size);
  for (const auto kind : layer_kinds(model)) {
    auto& attention = kind == LayerKind::global ? flops.global_attention : flops.local_attention;
    attention += 4.0 * q * mean_visible_keys(kind, model.window_size.value_or(0), length);
  }
  flops.head = 2.0 * d * static_cast<double>(model.vocab_size.value());
  return flops;
}

std::int64_t key_value_cache_bytes(const ModelSection& model, std::int64_t length,
                                   std::int64_t bytes_per_value) {
  std::int64_t tokens = 0;
  for (const auto kind : layer_kinds(model)) {
    tokens += kind == LayerKind::global ? length : std::min(length, model.window_size.value() + 1);
  }
  return 2 * model.num_key_value_heads.value() * model.head_dim.value() * bytes_per_value * tokens;
}

ModelSection with_full_attention(ModelSection model) {
  model.attention_pattern = std::string(static_cast<std::size_t>(model.num_hidden_layers), 'G');
  return model;
}

}  // namespace zebra
