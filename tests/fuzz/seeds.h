#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "support/catch.h"

namespace zebra::testing {

/// The committed inputs of a fuzz target, tests/fuzz/seeds/TARGET, in order of their names.
inline std::vector<std::filesystem::path> fuzz_seeds(const std::string& target) {
  const auto folder = std::filesystem::path(ZEBRA_TESTS_FOLDER) / "fuzz/seeds" / target;
  std::vector<std::filesystem::path> seeds;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) seeds.push_back(entry);
  std::sort(seeds.begin(), seeds.end());
  return seeds;
}

/// Gives each of them to what the fuzzer calls; there must be more than `least`.
inline void require_seeds_pass(const std::string& target, std::size_t least,
                               void (*try_input)(std::string_view)) {
  const auto seeds = fuzz_seeds(target);
  REQUIRE(seeds.size() > least);
  for (const auto& seed : seeds) {
    INFO(seed);
    REQUIRE_NOTHROW(try_input(read_file(seed)));
  }
}

}  // namespace zebra::testing
