#include "fuzz/huggingface_config_input.h"
#include "fuzz/seeds.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("the seeds of the fuzzer, as config.json of a HuggingFace folder") {
  require_seeds_pass("huggingface_config", 5, try_huggingface_config);
}

}  // namespace
}  // namespace zebra
