#pragma once

#include <filesystem>
#include <vector>

#include "ablation/arm_queue.h"
#include "ablation/arms.h"

namespace zebra {

/// Makes what the arms need: DIR with their run files, and the training probes. `program` is the
/// zebra command that will train and measure them. What a former start made stays; throws
/// InputError with every arm, and every dataset, that was begun with other settings.
std::vector<QueuedArm> prepare(const Ablation& ablation, const std::filesystem::path& program);

/// Measures cost by length of the arms' layouts, where the sweep asks for it and it is not there
/// yet. A failure is a warning: the report goes without.
void measure_cost(const Ablation& ablation, const std::filesystem::path& program);

}  // namespace zebra
