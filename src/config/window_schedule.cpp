#include "config/window_schedule.h"

#include <algorithm>
#include <limits>

namespace zebra {
namespace {

constexpr std::int64_t kForGood = std::numeric_limits<std::int64_t>::max();

/// a x b / c rounded down, in two parts, so that products of windows and steps cannot overflow.
std::int64_t share_of(std::int64_t a, std::int64_t b, std::int64_t c) {
  return a / c * b + a % c * b / c;
}

WindowSpan warm_up_span(std::int64_t window, std::int64_t warmup_steps, std::int64_t step) {
  if (step >= warmup_steps || window == 0) return {window, kForGood};
  const auto grown = std::max<std::int64_t>(1, share_of(window, step, warmup_steps));
  // Below grown + 1 as long as window x step < (grown + 1) x warmup_steps.
  const auto whole = share_of(warmup_steps, grown + 1, window);
  const bool is_exact = share_of(window, whole, warmup_steps) > grown;
  return {grown, std::min(is_exact ? whole - 1 : whole, warmup_steps - 1)};
}

}  // namespace

WindowSpan window_span_at(const Config& config, std::int64_t step) {
  for (const WindowStage& stage : config.model.window_schedule) {
    const auto last_step = stage.until.step_of(config.train.max_steps);
    if (step <= last_step) return {stage.window, last_step};
  }
  return warm_up_span(config.model.window_size, config.schedule.window_warmup_steps, step);
}

std::int64_t window_at(const Config& config, std::int64_t step) {
  return window_span_at(config, step).window;
}

bool window_moves(const Config& config) {
  return config.model.has(LayerKind::local) &&
         (!config.model.window_schedule.empty() || config.schedule.window_warmup_steps > 0);
}

}  // namespace zebra
