#include "base/file.h"
#include "fuzz/huggingface_config_input.h"
#include "fuzz/seeds.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("the seeds of the fuzzer, as config.json of a HuggingFace folder") {
  const auto seeds = fuzz_seeds("huggingface_config");
  REQUIRE(seeds.size() > 5);
  for (const auto& seed : seeds) {
    INFO(seed);
    REQUIRE_NOTHROW(try_huggingface_config(read_file(seed)));
  }
}

}  // namespace
}  // namespace zebra
