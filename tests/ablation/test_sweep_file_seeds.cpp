#include "base/file.h"
#include "fuzz/seeds.h"
#include "fuzz/sweep_file_input.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("the seeds of the fuzzer, as sweep files") {
  const auto seeds = fuzz_seeds("sweep_file");
  REQUIRE(seeds.size() > 5);
  for (const auto& seed : seeds) {
    INFO(seed);
    REQUIRE_NOTHROW(try_sweep_file(read_file(seed)));
  }
}

}  // namespace
}  // namespace zebra
