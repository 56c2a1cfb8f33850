#include "train/alerts.h"

#include <cmath>

#include "base/text.h"

namespace zebra {
namespace {

template <class Figure>
std::optional<double> largest_of_layers(const StepMetrics& metrics, const Figure& figure) {
  if (!metrics.layers) return std::nullopt;
  std::optional<double> largest;
  for (const auto& layer : metrics.layers->layers) {
    const double value = figure(layer);
    if (!std::isnan(value) && value > largest.value_or(-INFINITY)) largest = value;
  }
  return largest;
}

}  // namespace

std::optional<double> alert_figure(AlertFigure figure, const StepMetrics& metrics) {
  using Layer = LayerHealth::Layer;
  const auto of_layers = [&](double (*value)(const Layer&)) {
    return largest_of_layers(metrics, value);
  };
  switch (figure) {
    case AlertFigure::loss:
      return metrics.loss;
    case AlertFigure::grad_norm:
      return metrics.grad_norm;
    case AlertFigure::spike_score:
      return metrics.spike_score;
    case AlertFigure::grad_norm_spike_score:
      return metrics.grad_norm_spike_score;
    case AlertFigure::layer_grad_norm:
      return of_layers([](const Layer& layer) { return layer.grad_norm; });
    case AlertFigure::update_ratio:
      return of_layers([](const Layer& layer) { return layer.update_ratio(); });
    case AlertFigure::activation_rms:
      return of_layers([](const Layer& layer) { return layer.activation_rms; });
    case AlertFigure::attention_logit_lower:
      return of_layers([](const Layer& layer) { return layer.attention_logit_lower; });
    case AlertFigure::attention_logit_upper:
      return of_layers([](const Layer& layer) { return layer.attention_logit_upper; });
    case AlertFigure::log_z_rms:
      return metrics.layers ? std::optional(metrics.layers->log_z_rms) : std::nullopt;
  }
  return std::nullopt;
}

Alerts::Alerts(std::vector<AlertRule> rules)
    : rules_(std::move(rules)), is_passed_(rules_.size(), false) {}

std::vector<Alerts::Alarm> Alerts::check(const StepMetrics& metrics) {
  std::vector<Alarm> alarms;
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const auto& rule = rules_[i];
    const auto value = alert_figure(rule.figure, metrics);
    if (!value) continue;
    const bool passes = *value > rule.above;
    if (passes && !is_passed_[i]) {
      alarms.push_back({rule.action, name_of(rule.figure) + " is " +
                                         round_trip(static_cast<float>(*value)) + ", above " +
                                         round_trip(rule.above) + " (train.alert)"});
    }
    is_passed_[i] = passes;
  }
  return alarms;
}

}  // namespace zebra
