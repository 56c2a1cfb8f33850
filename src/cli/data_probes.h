#pragma once

#include <CLI/CLI.hpp>

namespace zebra {

/// Adds `probes` to the subcommand `data`. Its work throws InputError and RunError out of
/// CLI::App::parse.
void add_data_probes_command(CLI::App& data);

}  // namespace zebra
