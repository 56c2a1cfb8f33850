#pragma once

#include <string>

#include "ablation/sweep.h"

// What a former start left in a sweep's folder, and how the sweep goes on from it. A sweep may
// grow: arms whose own run is unchanged stay as they are.

namespace zebra {

/// What a start has to do for an arm.
enum class ArmTask { nothing, recall, training };

template <>
struct EnumNames<ArmTask> {
  static constexpr NameTable<ArmTask, 3> kTable{{{ArmTask::nothing, "nothing"},
                                                 {ArmTask::recall, "recall"},
                                                 {ArmTask::training, "training"}}};
};

/// `nothing` for an arm that is finished or has failed for good, `recall` for one that is trained
/// but has to be asked (again), `training` for all others.
ArmTask task_of(const Sweep& sweep, const Arm& arm);

/// All of them for people, in a line: "to do: train 3 arms, …".
std::string tasks_text(const Sweep& sweep);

/// Adds to `problems` whatever in the sweep's folder keeps it from going on: results of something
/// else, training probes or arms that were begun with other settings, and trained arms that would
/// have to be asked or trained on from checkpoints that are gone. Writes nothing.
void check_continuation(const Sweep& sweep, Problems& problems);

}  // namespace zebra
