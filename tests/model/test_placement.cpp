#include "model/placement.h"

#include <ATen/Context.h>
#include <c10/util/env.h>

#include <cstdlib>

#include "support/catch.h"

namespace zebra {
namespace {

TEST_CASE("numerics are as asked for, and can be changed again") {
  auto& context = at::globalContext();
  ::unsetenv("CUBLAS_WORKSPACE_CONFIG");
  for (const bool deterministic : {true, false, true}) {
    for (const torch::Device device : {torch::kCUDA, torch::kCPU}) {
      context.setFloat32MatmulPrecision("medium");
      context.setDeterministicFillUninitializedMemory(true);
      context.setAllowBF16ReductionCuBLAS(true);
      set_numerics(deterministic, device);
      REQUIRE(context.deterministicAlgorithms() == deterministic);
      REQUIRE_FALSE(context.deterministicFillUninitializedMemory());
      REQUIRE(context.float32MatmulPrecision() == at::Float32MatmulPrecision::HIGHEST);
      REQUIRE(context.allowBF16ReductionCuBLAS() ==
              at::CuBLASReductionOption::DisallowReducedPrecisionAllowSplitK);
    }
  }
}

TEST_CASE("on a GPU deterministic is no wish") {
  auto& context = at::globalContext();
  const auto workspace = [] { return c10::utils::get_env("CUBLAS_WORKSPACE_CONFIG").value_or(""); };
  ::unsetenv("CUBLAS_WORKSPACE_CONFIG");
  set_numerics(false, torch::kCUDA);
  REQUIRE(workspace().empty());
  set_numerics(true, torch::kCUDA);
  REQUIRE_FALSE(context.deterministicAlgorithmsWarnOnly());
  REQUIRE(workspace() == ":4096:8");
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8", /*overwrite=*/1);
  set_numerics(true, torch::kCUDA);
  REQUIRE(workspace() == ":16:8");
  ::unsetenv("CUBLAS_WORKSPACE_CONFIG");
  set_numerics(true, torch::kCPU);
  REQUIRE(context.deterministicAlgorithmsWarnOnly());
  REQUIRE(workspace().empty());
  set_numerics(false, torch::kCPU);
}

}  // namespace
}  // namespace zebra
