#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ablation/sweep.h"
#include "ablation/sweep_folder.h"

// What recall a sweep asks of its arms, the same for all of them but for the limit on text.

namespace zebra {

/// What the arm's files have to hold before it is finished.
ArmGoal goal_of(const Sweep& sweep, const Arm& arm);

/// The command that asks it of a trained arm and writes ArmPaths::recall(). `program` is the zebra
/// command.
std::vector<std::string> recall_command(const Sweep& sweep, const Arm& arm,
                                        const std::filesystem::path& program);

}  // namespace zebra
