#pragma once

#include <cmath>
#include <cstdint>

namespace zebra {

/// A point of a training: a fraction of train.max_steps, which moves along when the run is made
/// longer, or a step.
struct TrainingPoint {
  double fraction = 0.0;  ///< in (0, 1); 0: `step` counts
  std::int64_t step = 0;  ///< from 1

  bool is_fraction() const { return fraction > 0.0; }

  /// The step (from 1; a fraction's is rounded to the nearest) in a training of `max_steps`.
  std::int64_t step_of(std::int64_t max_steps) const {
    return is_fraction() ? std::llround(fraction * static_cast<double>(max_steps)) : step;
  }

  bool operator==(const TrainingPoint&) const = default;
};

}  // namespace zebra
