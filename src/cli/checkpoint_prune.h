#pragma once

#include <CLI/CLI.hpp>

namespace zebra {

/// Adds `zebra checkpoint prune RUN [--keep-last N] [--keep-every N] [--keep-best N] [--dry-run]
/// [--json]`.
void add_checkpoint_prune_command(CLI::App& checkpoint);

}  // namespace zebra
