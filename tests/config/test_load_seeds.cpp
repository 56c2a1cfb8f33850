#include "fuzz/run_file_input.h"
#include "fuzz/seeds.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("the seeds of the fuzzer, as run files") {
  require_seeds_pass("run_file", 5, try_run_file);
}

}  // namespace
}  // namespace zebra
