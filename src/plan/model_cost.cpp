#include "plan/model_cost.h"

#include <algorithm>

#include "model/unit_spec.h"

namespace zebra {

ParameterCount count_parameters(const ModelConfig& model) {
  ParameterCount count;
  for (const auto& unit : unit_specs(model)) {
    for (const auto& parameter : unit.parameters) {
      switch (parameter.role) {
        case ParameterRole::embedding:
          count.embedding += parameter.numel();
          break;
        case ParameterRole::attention:
          count.attention += parameter.numel();
          break;
        case ParameterRole::feed_forward:
          count.feed_forward += parameter.numel();
          break;
        case ParameterRole::norm:
          count.norms += parameter.numel();
          break;
        case ParameterRole::head:
          count.head += parameter.numel();
          break;
      }
    }
  }
  return count;
}

double mean_visible_keys(LayerKind kind, std::int64_t window, std::int64_t length) {
  const auto N = static_cast<double>(length);
  if (kind == LayerKind::global) return (N + 1.0) / 2.0;
  const auto k = static_cast<double>(std::min(window + 1, length));
  return (k * (k + 1.0) / 2.0 + (N - k) * k) / N;
}

ForwardFlops forward_flops_per_token(const ModelConfig& model, std::int64_t length) {
  ForwardFlops flops;
  for (const auto kind : model.layers) {
    for (const auto& parameter : block_parameters(model, kind)) {
      if (parameter.shape().size() != 2) continue;  // no matrix product
      auto& products =
          parameter.role == ParameterRole::attention ? flops.projections : flops.feed_forward;
      products += 2.0 * static_cast<double>(parameter.numel());
    }
    auto& attention = kind == LayerKind::global ? flops.global_attention : flops.local_attention;
    attention += 4.0 * static_cast<double>(model.query_width()) *
                 mean_visible_keys(kind, model.window_size, length);
  }
  flops.head = 2.0 * static_cast<double>(model.hidden_size) * static_cast<double>(model.vocab_size);
  return flops;
}

std::int64_t key_value_cache_bytes(const ModelConfig& model, std::int64_t length,
                                   std::int64_t bytes_per_value) {
  std::int64_t tokens = 0;
  for (const auto kind : model.layers) {
    tokens += kind == LayerKind::global ? length : std::min(length, model.window_size + 1);
  }
  return 2 * model.key_width() * bytes_per_value * tokens;
}

}  // namespace zebra
