#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "train/metrics.h"

namespace zebra {

/// The figure that a rule of train.alert names, in a step: of layers the largest. Nothing where the
/// step does not tell.
std::optional<double> alert_figure(AlertFigure figure, const StepMetrics& metrics);

/// What is done when a figure passes its bound (train.alert): once for each time that it does. A
/// figure that is not a number passes none; steps that are not finite are the skip rule's.
class Alerts {
 public:
  explicit Alerts(std::vector<AlertRule> rules);

  struct Alarm {
    AlertAction action;
    std::string message;  ///< "attention_logit_lower is 51.3, above 50 (train.alert)"
  };

  /// The bounds that are passed in this step and were not in the one before, in the order of the
  /// rules.
  std::vector<Alarm> check(const StepMetrics& metrics);

 private:
  std::vector<AlertRule> rules_;
  std::vector<bool> is_passed_;
};

}  // namespace zebra
