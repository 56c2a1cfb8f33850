#include "fuzz/json_line_input.h"
#include "fuzz/seeds.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("the seeds of the fuzzer, as lines of JSONL") {
  require_seeds_pass("json_line", 5, try_json_line);
}

}  // namespace
}  // namespace zebra
