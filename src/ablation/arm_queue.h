#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ablation/arm_run.h"

namespace zebra {

struct QueuedArm {
  std::string name;
  ArmPaths paths;
  ArmCommands commands;
  std::int64_t steps;
};

/// One for each arm that may be on its way at the same time: what its processes get in their
/// environment (threads, a GPU of their own).
using JobSlots = std::vector<ChildProcess::Variables>;

/// Brings the arms to their end, in order, on as many slots as there are, with a progress bar.
/// Those that are finished, or failed for good, are passed over. A failure stops no other arm. A
/// stop signal (see stop_signal.h) asks all of them to save and end.
void run_arms(const std::vector<QueuedArm>& arms, const JobSlots& slots);

}  // namespace zebra
