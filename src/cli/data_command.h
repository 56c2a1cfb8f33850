#pragma once

#include <CLI/CLI.hpp>

namespace zebra {

/// Adds `zebra data tokenizer` and `zebra data pack` to `app`. Their work throws InputError and
/// RunError out of CLI::App::parse.
void add_data_command(CLI::App& app);

}  // namespace zebra
