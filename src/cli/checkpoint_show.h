#pragma once

#include <CLI/CLI.hpp>

namespace zebra {

/// Adds `zebra checkpoint show RUN_OR_CHECKPOINT [--tensors] [--json]`.
void add_checkpoint_show_command(CLI::App& checkpoint);

}  // namespace zebra
