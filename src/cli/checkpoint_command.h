#pragma once

#include <CLI/CLI.hpp>

namespace zebra {

/// Adds `zebra checkpoint list|verify|show|prune|fork`. Sets `status` where `verify` finds
/// something broken.
void add_checkpoint_command(CLI::App& app, int& status);

}  // namespace zebra
