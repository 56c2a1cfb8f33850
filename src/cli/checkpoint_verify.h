#pragma once

#include <CLI/CLI.hpp>

namespace zebra {

/// Adds `zebra checkpoint verify RUN_OR_CHECKPOINT… [--json]`, which sets `status` to 1 when
/// something is broken.
void add_checkpoint_verify_command(CLI::App& checkpoint, int& status);

}  // namespace zebra
