#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "config/resolve.h"

namespace zebra {
namespace {

double median(const std::deque<double>& values) {
  std::vector<double> sorted(values.begin(), values.end());
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

}  // namespace

double learning_rate_factor(const ScheduleSection& schedule, std::int64_t step,
                            std::int64_t max_steps) {
  if (step <= schedule.warmup_steps)
    return static_cast<double>(step) / static_cast<double>(schedule.warmup_steps);
  const auto progress = [&](std::int64_t begin) {
    const double span = static_cast<double>(std::max<std::int64_t>(max_steps - begin, 1));
    return std::clamp(static_cast<double>(step - begin) / span, 0.0, 1.0);
  };
  const double drop = 1.0 - schedule.min_lr_ratio;
  switch (schedule.type) {
    case ScheduleType::cosine:
      return 1.0 -
             drop * 0.5 * (1.0 - std::cos(std::numbers::pi * progress(schedule.warmup_steps)));
    case ScheduleType::wsd: {
      const auto decay_begin = max_steps - decay_steps(schedule, max_steps);
      return step <= decay_begin ? 1.0 : 1.0 - drop * std::sqrt(progress(decay_begin));
    }
    case ScheduleType::constant:
      break;
  }
  return 1.0;
}

double SkipRule::largest_norm() const {
  const bool has_limit = skip_above_ > 0.0 && state_.recent_norms.size() >= kFewestNorms;
  return has_limit ? skip_above_ * median(state_.recent_norms)
                   : std::numeric_limits<double>::infinity();
}

bool SkipRule::skips(double loss, double gradient_norm) {
  if (!std::isfinite(loss) || !std::isfinite(gradient_norm)) {
    ++state_.consecutive_non_finite;
    ++state_.skipped_steps;
    return true;
  }
  state_.consecutive_non_finite = 0;
  const bool spike = gradient_norm > largest_norm();
  // Spikes are remembered too: norms that rise for good move the median, and training goes on.
  state_.recent_norms.push_back(gradient_norm);
  if (state_.recent_norms.size() > kMostNorms) state_.recent_norms.pop_front();
  if (spike) ++state_.skipped_steps;
  return spike;
}

}  // namespace zebra
