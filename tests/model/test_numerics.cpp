#include "model/placement.h"

#include <ATen/Context.h>

#include "support/catch.h"

namespace zebra {
namespace {

TEST_CASE("numerics are as asked for, and can be changed again") {
  auto& context = at::globalContext();
  for (const bool deterministic : {true, false, true}) {
    context.setFloat32MatmulPrecision("medium");
    context.setDeterministicFillUninitializedMemory(true);
    set_numerics(deterministic);
    REQUIRE(context.deterministicAlgorithms() == deterministic);
    REQUIRE_FALSE(context.deterministicFillUninitializedMemory());
    REQUIRE(context.float32MatmulPrecision() == at::Float32MatmulPrecision::HIGHEST);
  }
}

}  // namespace
}  // namespace zebra
