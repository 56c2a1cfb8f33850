#include "base/file.h"
#include "fuzz/metrics_row_input.h"
#include "fuzz/seeds.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("the seeds of the fuzzer, as lines of metrics.jsonl") {
  const auto seeds = fuzz_seeds("metrics_row");
  REQUIRE(seeds.size() > 5);
  for (const auto& seed : seeds) {
    INFO(seed);
    REQUIRE_NOTHROW(try_metrics_row(read_file(seed)));
  }
}

}  // namespace
}  // namespace zebra
