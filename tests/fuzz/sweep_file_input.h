#pragma once

#include <set>
#include <stdexcept>
#include <string>
#include <string_view>

#include "ablation/combinations.h"
#include "ablation/sweep_file.h"

namespace zebra::testing {

/// Reads `input` as a sweep file and forms its combinations. Anything thrown is a finding.
inline void try_sweep_file(std::string_view input) {
  Problems problems;
  const auto file = read_sweep_file(std::string(input), "sweep.yaml", problems);
  if (!problems.empty()) return;
  if (file.grid.axes.empty()) throw std::logic_error("no axes, and no problem");
  const auto combinations = combinations_of(file.grid, "1", problems);
  if (!problems.empty()) return;
  std::set<std::string> names;
  for (const auto& combination : combinations) {
    const std::string name = combination.name();
    if (!names.insert(name).second) throw std::logic_error("two arms of one name");
    if (name.find_first_of("/\n'\" $") != std::string::npos)
      throw std::logic_error("a name that is none for a folder");
  }
  if (names.empty()) throw std::logic_error("no arms, and no problem");
}

}  // namespace zebra::testing
