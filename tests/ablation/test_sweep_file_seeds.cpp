#include "fuzz/seeds.h"
#include "fuzz/sweep_file_input.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("the seeds of the fuzzer, as sweep files") {
  require_seeds_pass("sweep_file", 5, try_sweep_file);
}

}  // namespace
}  // namespace zebra
