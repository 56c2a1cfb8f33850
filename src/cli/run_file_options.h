#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "config/config.h"

namespace zebra {

/// What every subcommand that reads a run file takes: `RUN.yaml… [--set section.key=VALUE]…`.
struct RunFileOptions {
  std::vector<std::string> files;
  std::vector<std::string> overrides;

  /// Adds the options to a subcommand. The object must live until the command line is parsed.
  void add_to(CLI::App& command);

  /// The loaded file. Throws InputError, also when no run file was given.
  RunFile load(int ranks = 1) const;
};

}  // namespace zebra
