#include "train/alerts.h"

#include <cmath>

#include "support/catch.h"

namespace zebra {
namespace {

StepMetrics step_with(double grad_norm, std::optional<double> logit = {}) {
  StepMetrics metrics{1, 2.5, grad_norm, 1e-3, false, 64, 0.0, 0.5};
  if (logit) {
    metrics.layers.emplace();
    metrics.layers->layers = {{{1.0, 0.5, 0.25}, LayerKind::global, 1.0, *logit - 1, *logit + 1},
                              {{2.0, 0.5, 0.1}, LayerKind::local, 3.0, NAN, NAN}};
    metrics.layers->log_z_rms = 7.0;
  }
  return metrics;
}

TEST_CASE("a bound is told once for each time that it is passed") {
  Alerts alerts(std::vector<AlertRule>{{AlertFigure::grad_norm, 10.0, AlertAction::checkpoint}});
  std::vector<std::size_t> told;
  for (const double norm : {9.0, 10.0, 10.5, 40.0, 8.0, INFINITY, 3.0, std::nan("")})
    told.push_back(alerts.check(step_with(norm)).size());
  REQUIRE(told == std::vector<std::size_t>{0, 0, 1, 0, 0, 1, 0, 0});
  const auto alarms = alerts.check(step_with(12.5));
  REQUIRE(alarms.size() == 1);
  REQUIRE(alarms[0].action == AlertAction::checkpoint);
  REQUIRE(alarms[0].message == "grad_norm is 12.5, above 10 (train.alert)");
}

TEST_CASE("figures of layers are the largest of a measured step") {
  const auto metrics = step_with(1.0, 50.0);
  REQUIRE(alert_figure(AlertFigure::layer_grad_norm, metrics) == 2.0);
  REQUIRE(alert_figure(AlertFigure::update_ratio, metrics) == 0.5);
  REQUIRE(alert_figure(AlertFigure::activation_rms, metrics) == 3.0);
  REQUIRE(alert_figure(AlertFigure::attention_logit_lower, metrics) == 49.0);
  REQUIRE(alert_figure(AlertFigure::attention_logit_upper, metrics) == 51.0);
  REQUIRE(alert_figure(AlertFigure::log_z_rms, metrics) == 7.0);
  REQUIRE_FALSE(alert_figure(AlertFigure::activation_rms, step_with(1.0)));
  REQUIRE_FALSE(alert_figure(AlertFigure::spike_score, metrics));

  // A step that is not measured says nothing: the bound stays passed.
  Alerts alerts(
      std::vector<AlertRule>{{AlertFigure::attention_logit_lower, 30.0, AlertAction::stop}});
  REQUIRE(alerts.check(step_with(1.0, 50.0)).size() == 1);
  REQUIRE(alerts.check(step_with(1.0)).empty());
  REQUIRE(alerts.check(step_with(1.0, 60.0)).empty());
}

}  // namespace
}  // namespace zebra
