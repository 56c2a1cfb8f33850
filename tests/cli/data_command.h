#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cli/command_line.h"
#include "support/command_line.h"

namespace zebra::testing {

/// Runs `zebra data ARGUMENTS` and returns what it prints on standard output.
inline std::string run_data(std::vector<std::string> arguments) {
  CLI::App app("zebra");
  add_data_command(app);
  app.require_subcommand(1);
  arguments.insert(arguments.begin(), "data");
  return printed_by(app, std::move(arguments));
}

}  // namespace zebra::testing
