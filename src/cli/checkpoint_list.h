#pragma once

#include <CLI/CLI.hpp>

namespace zebra {

/// Adds `zebra checkpoint list RUN [--json]`.
void add_checkpoint_list_command(CLI::App& checkpoint);

}  // namespace zebra
