#include "plan/context_cost.h"

#include <algorithm>

#include "plan/model_cost.h"

namespace zebra {
namespace {

// In order, and their gradients: each of up to T tokens.
constexpr std::int64_t kWholeCopies = 4;

std::int64_t value_bytes(const Config& config) {
  return config.train.precision == Precision::bf16 ? kFloatBytes / 2 : kFloatBytes;
}

// Of one token's keys and values in one layer, over the micro-batch.
std::int64_t key_value_bytes(const Config& config) {
  return 2 * config.model.key_width() * value_bytes(config) * config.train.micro_batch_size;
}

}  // namespace

LayerExchange context_exchange(const Config& config, LayerKind kind) {
  const auto others = config.parallel.context - 1;
  const auto bytes = static_cast<double>(key_value_bytes(config));
  if (kind == LayerKind::local) {
    const auto messages = std::min<std::int64_t>(2, others);
    const double window = static_cast<double>(messages * config.model.window_size) * bytes;
    return {window, window};
  }
  const auto own = config.data.sequence_length / config.parallel.context;
  const double keys = static_cast<double>(others * own) * bytes;
  return {keys, 2 * keys};
}

ContextTraffic context_traffic(const Config& config) {
  const auto mode = config.train.activation_checkpointing;
  const auto& layers = config.model.layers;
  ContextTraffic traffic;
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    const bool again = is_recomputed(mode, layer) && mode != ActivationCheckpointing::selective;
    const auto bytes = [&](LayerKind kind) {
      const auto exchange = context_exchange(config, kind);
      return exchange.total() + (again ? exchange.forward : 0.0);
    };
    (layers[layer] == LayerKind::local ? traffic.local_layers : traffic.global_layers) +=
        bytes(layers[layer]);
    traffic.gathered_everywhere += bytes(LayerKind::global);
  }
  return traffic;
}

std::int64_t tokens_per_rank(const Config& config) {
  return config.train.micro_batch_size * config.data.sequence_length / config.parallel.context;
}

std::int64_t gathered_bytes(const Config& config) {
  const bool has_global = config.model.layers_of(LayerKind::global) > 0;
  if (config.parallel.context == 1 || !has_global) return 0;
  return kWholeCopies * config.data.sequence_length * key_value_bytes(config);
}

}  // namespace zebra
