#pragma once

#include <cstdint>

#include "config/config.h"

// The window of local layers over the steps of a training: the stages of model.window_schedule, or
// its linear warm-up (schedule.window_warmup_steps).

namespace zebra {

/// Steps in a row in which local layers see the same number of previous tokens.
struct WindowSpan {
  std::int64_t window;
  std::int64_t last_step;  ///< beyond every step where the window stays for good
};

/// What local layers see at `step` (from 1), and the last step up to which they do.
///
/// - Stages: the window of the first one whose `until` is not before the step; after the last one
///   model.window_size.
/// - Warm-up over N steps: window_size x step / N rounded down, at least 1 (0 where window_size
/// is);
///   all of window_size from step N on.
WindowSpan window_span_at(const Config& config, std::int64_t step);

/// The window alone.
std::int64_t window_at(const Config& config, std::int64_t step);

/// Whether there are local layers whose window is not window_size from the start.
bool window_moves(const Config& config);

}  // namespace zebra
