#pragma once

#include <CLI/CLI.hpp>

namespace zebra {

/// Adds `zebra checkpoint fork RUN_OR_CHECKPOINT --output DIR [--name NAME] [--set key=value]…
/// [--dry-run]`.
void add_checkpoint_fork_command(CLI::App& checkpoint);

}  // namespace zebra
