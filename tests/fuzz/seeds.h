#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace zebra::testing {

/// The committed inputs of a fuzz target, tests/fuzz/seeds/TARGET, in order of their names.
inline std::vector<std::filesystem::path> fuzz_seeds(const std::string& target) {
  const auto folder = std::filesystem::path(ZEBRA_TESTS_FOLDER) / "fuzz/seeds" / target;
  std::vector<std::filesystem::path> seeds;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) seeds.push_back(entry);
  std::sort(seeds.begin(), seeds.end());
  return seeds;
}

}  // namespace zebra::testing
