#include "optim/skip_rule.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace zebra {
namespace {

double median(const std::deque<double>& values) {
  std::vector<double> sorted(values.begin(), values.end());
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

}  // namespace

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
  if (state_.recent_norms.size() > kWindow) state_.recent_norms.pop_front();
  if (spike) ++state_.skipped_steps;
  return spike;
}

}  // namespace zebra
