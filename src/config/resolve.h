#pragma once

#include "config/config.h"
#include "config/report.h"

namespace zebra {

/// How many of the ranks, or groups of parallel.context, have sequences of their own; at least 1,
/// as one process may read the file of a run of many.
std::int64_t ranks_with_sequences(const ParallelSection& parallel, std::int64_t ranks);

/// Fills every default that follows from other keys, and turns the short forms of the layout into
/// an attention_pattern with one letter per layer. Reports what cannot be derived. `ranks` share
/// train.global_batch_size.
void fill_defaults(RunFile& file, int ranks, Report& report);

/// Reports what is wrong between keys of a resolved configuration. Checks that depend on a key
/// already known to be wrong are left out. `ranks` share train.global_batch_size.
void validate(const RunFile& config, int ranks, Report& report);

/// schedule.decay_steps, or its default: 20 % of max_steps, rounded down, at least 1. It is not
/// filled in when a file is resolved, so that it follows max_steps when a run is made longer.
std::int64_t decay_steps(const ScheduleSection& schedule, std::int64_t max_steps);

}  // namespace zebra
