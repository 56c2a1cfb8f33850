#pragma once

#include <CLI/CLI.hpp>

namespace zebra {

/// Adds `zebra config`: prints the resolved configuration, the reference of all keys, or their JSON
/// Schema.
void add_config_command(CLI::App& app);

}  // namespace zebra
