#include "fuzz/metrics_row_input.h"
#include "fuzz/seeds.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("the seeds of the fuzzer, as lines of metrics.jsonl") {
  require_seeds_pass("metrics_row", 5, try_metrics_row);
}

}  // namespace
}  // namespace zebra
