#pragma once

#include "config/config.h"
#include "config/report.h"

namespace zebra {

/// Fills every default that follows from other keys, and turns the short forms of the layout into
/// an attention_pattern with one letter per layer. Reports what cannot be derived. `ranks` share
/// train.global_batch_size.
void fill_defaults(RunFile& file, int ranks, Report& report);

/// schedule.decay_steps, or its default: 20 % of max_steps, rounded down, at least 1. It is not
/// filled in when a file is resolved, so that it follows max_steps when a run is made longer.
std::int64_t decay_steps(const ScheduleSection& schedule, std::int64_t max_steps);

}  // namespace zebra
