#include "plan/model_cost.h"

#include <algorithm>

#include "config/model_config.h"
#include "config/window_schedule.h"
#include "model/unit_spec.h"
#include "plan/context_cost.h"

namespace zebra {
namespace {

constexpr std::int64_t kValueBytes = 2;
constexpr std::int64_t kNorms = 2;

struct Widths {
  std::int64_t d, f, q, kv, heads;
  std::int64_t qk_norms;  // of a token
  bool has_sinks_everywhere;
};

std::int64_t qk_norms_of(const ModelConfig& model) {
  if (model.qk_norm == QkNorm::none) return 0;
  return model.qk_norm == QkNorm::head ? model.num_attention_heads + model.num_key_value_heads : 2;
}

Widths widths_of(const ModelConfig& model) {
  return {model.hidden_size,
          model.intermediate_size,
          model.query_width(),
          model.key_width(),
          model.num_attention_heads,
          qk_norms_of(model),
          model.has_sink(LayerKind::global)};
}

bool runs_our_kernel(const Widths& w, LayerKind kind) {
  return kind == LayerKind::local || w.has_sinks_everywhere;
}

std::int64_t result_of_attention(const Widths& w, LayerKind kind) {
  const auto rotated_keys = runs_our_kernel(w, kind) ? w.kv : 0;
  return kValueBytes * (w.q + rotated_keys) + kFloatBytes * w.heads;
}

std::int64_t whole_block(const Widths& w, LayerKind kind) {
  const auto rotated = runs_our_kernel(w, kind) ? 0 : w.q + w.kv;
  const auto before_qk_norm = w.qk_norms > 0 ? w.q + w.kv : 0;
  return kValueBytes * (4 * w.d + (w.q + 2 * w.kv) + before_qk_norm + rotated + 2 * w.f) +
         kFloatBytes * (kNorms + w.qk_norms) + result_of_attention(w, kind);
}

std::int64_t kept_of_recomputed(const Widths& w, LayerKind kind, ActivationCheckpointing mode) {
  const bool keeps_attention = mode == ActivationCheckpointing::selective;
  return kValueBytes * w.d + (keeps_attention ? result_of_attention(w, kind) : 0);
}

/// With so many keys that a token sees in a local layer, on average.
ForwardFlops flops_with(const ModelConfig& model, std::int64_t length, double local_keys) {
  ForwardFlops flops;
  for (const auto kind : model.layers) {
    for (const auto& parameter : block_parameters(model, kind)) {
      if (parameter.shape().size() != 2) continue;  // no matrix product
      auto& products =
          parameter.role == ParameterRole::attention ? flops.projections : flops.feed_forward;
      products += 2.0 * static_cast<double>(parameter.numel());
    }
    auto& attention = kind == LayerKind::global ? flops.global_attention : flops.local_attention;
    const double keys = kind == LayerKind::global ? mean_visible_keys(kind, 0, length) : local_keys;
    attention += 4.0 * static_cast<double>(model.query_width()) * keys;
  }
  flops.head = 2.0 * static_cast<double>(model.hidden_size) * static_cast<double>(model.vocab_size);
  return flops;
}

}  // namespace

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
  return flops_with(model, length, mean_visible_keys(LayerKind::local, model.window_size, length));
}

ForwardFlops mean_forward_flops_per_token(const Config& config, std::int64_t steps) {
  const auto length = config.data.sequence_length;
  if (!window_moves(config) || steps == 0) return forward_flops_per_token(config.model, length);
  double local_keys = 0;
  for (std::int64_t done = 0; done < steps;) {
    const auto span = window_span_at(config, done + 1);
    const auto last = std::min(span.last_step, steps);
    local_keys += mean_visible_keys(LayerKind::local, span.window, length) *
                  (static_cast<double>(last - done) / static_cast<double>(steps));
    done = last;
  }
  return flops_with(config.model, length, local_keys);
}

ForwardFlops mean_forward_flops_per_token(const Config& config) {
  return mean_forward_flops_per_token(config, config.train.max_steps);
}

std::int64_t key_value_cache_bytes(const ModelConfig& model, std::int64_t length,
                                   std::int64_t bytes_per_value) {
  std::int64_t tokens = 0;
  for (const auto kind : model.layers) {
    tokens += kind == LayerKind::global ? length : std::min(length, model.window_size + 1);
  }
  return 2 * model.key_width() * bytes_per_value * tokens;
}

ActivationBytes activation_bytes(const Config& config) {
  const auto& model = config.model;
  const auto mode = config.train.activation_checkpointing;
  const auto tokens = tokens_per_rank(config);
  const auto w = widths_of(model);
  auto kinds = model.layers;
  // Global layers of shared sequences run the same kernels as local ones, on rotated keys.
  if (config.parallel.context > 1) std::ranges::fill(kinds, LayerKind::local);
  const auto kept = [&](std::size_t layer) {
    return tokens * (is_recomputed(mode, layer) ? kept_of_recomputed(w, kinds[layer], mode)
                                                : whole_block(w, kinds[layer]));
  };
  ActivationBytes bytes;
  for (std::size_t layer = 0; layer < kinds.size(); ++layer) bytes.blocks += kept(layer);

  const auto head = tokens * 3 * kValueBytes * w.d + kFloatBytes * model.vocab_size * w.d;
  auto live = bytes.blocks, peak = live + head;
  for (std::size_t layer = kinds.size(); layer-- > 0;) {
    live -= kept(layer);
    peak = std::max(peak, live + tokens * whole_block(w, kinds[layer]));
  }
  bytes.at_work = peak - bytes.blocks + gathered_bytes(config);
  return bytes;
}

}  // namespace zebra
