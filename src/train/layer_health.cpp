#include "train/layer_health.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;
using Layer = LayerHealth::Layer;
using Figure = std::pair<const char*, double (*)(const Layer&)>;

constexpr std::array<Figure, 7> kFigures{
    {{"grad_norm", [](const Layer& layer) { return layer.grad_norm; }},
     {"weight_rms", [](const Layer& layer) { return layer.weight_rms; }},
     {"update_rms", [](const Layer& layer) { return layer.update_rms; }},
     {"update_ratio", [](const Layer& layer) { return layer.update_ratio(); }},
     {"activation_rms", [](const Layer& layer) { return layer.activation_rms; }},
     {"attention_logit_lower", [](const Layer& layer) { return layer.attention_logit_lower; }},
     {"attention_logit_upper", [](const Layer& layer) { return layer.attention_logit_upper; }}}};

Json of_weights(const WeightHealth& health) {
  return {{"grad_norm", health.grad_norm},
          {"weight_rms", health.weight_rms},
          {"update_rms", health.update_rms},
          {"update_ratio", health.update_ratio()}};
}

// NaN, which is null in the row, is larger than everything.
double larger(double a, double b) {
  return std::isnan(a) || std::isnan(b) ? a + b : std::max(a, b);
}

Json largest_of(const LayerHealth& health, LayerKind kind) {
  Json largest;
  for (const auto& [name, figure] : kFigures) {
    double value = -INFINITY;
    for (const auto& layer : health.layers)
      if (layer.kind == kind) value = larger(value, figure(layer));
    largest[name] = value;
  }
  return largest;
}

}  // namespace

Json layer_health_row(std::int64_t step, const LayerHealth& health) {
  Json row = {{"step", step}};
  for (const auto& [name, figure] : kFigures) {
    auto& values = row["layers"][name] = Json::array();
    for (const auto& layer : health.layers) values.push_back(figure(layer));
  }
  for (const auto& [kind, name] : {std::pair{LayerKind::global, "global_layers"},
                                   std::pair{LayerKind::local, "local_layers"}}) {
    const auto is_of_kind = [kind = kind](const Layer& layer) { return layer.kind == kind; };
    if (std::ranges::any_of(health.layers, is_of_kind)) row[name] = largest_of(health, kind);
  }
  row["embedding"] = of_weights(health.embedding);
  for (const auto& head : health.heads) row["head"] = of_weights(head);
  row["output_logits"] = {{"log_z_rms", health.log_z_rms}, {"log_z_max", health.log_z_max}};
  return row;
}

}  // namespace zebra
