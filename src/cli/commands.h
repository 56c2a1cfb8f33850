#pragma once

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "cli/checkpoint_command.h"
#include "cli/config_command.h"
#include "cli/data_command.h"

namespace zebra {

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
void add_import_command(CLI::App& app);
void add_export_command(CLI::App& app);

}  // namespace zebra
