#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace zebra::testing {

/// What the command prints on standard output when it is given these words. Errors come through.
inline std::string printed_by(CLI::App& app, std::vector<std::string> words) {
  std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
  std::ostringstream printed;
  auto* const saved = std::cout.rdbuf(printed.rdbuf());
  try {
    app.parse(words);
  } catch (...) {
    std::cout.rdbuf(saved);
    throw;
  }
  std::cout.rdbuf(saved);
  return printed.str();
}

}  // namespace zebra::testing
