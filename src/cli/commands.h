#pragma once

#include <CLI/CLI.hpp>

#include "cli/config_command.h"
#include "cli/data_command.h"

namespace zebra {

// Exit statuses of the command.
inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;    ///< failed while running
inline constexpr int kExitBadInput = 2;  ///< bad usage, configuration or input
inline constexpr int kExitStopped =
    75;  ///< stopped by a signal after saving: start it again to go on

// Each adds one subcommand, whose work is done in a callback while the command line is parsed;
// errors are exceptions.

/// Sets `status` where training ends otherwise than done.
void add_train_command(CLI::App& app, int& status);
void add_ablate_command(CLI::App& app, int& status);
void add_plan_command(CLI::App& app);
void add_bench_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_generate_command(CLI::App& app);
void add_recall_command(CLI::App& app);
void add_export_command(CLI::App& app);

}  // namespace zebra
