#include "base/file.h"
#include "fuzz/json_line_input.h"
#include "fuzz/seeds.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("the seeds of the fuzzer, as lines of JSONL") {
  const auto seeds = fuzz_seeds("json_line");
  REQUIRE(seeds.size() > 5);
  for (const auto& seed : seeds) {
    INFO(seed);
    REQUIRE_NOTHROW(try_json_line(read_file(seed)));
  }
}

}  // namespace
}  // namespace zebra
