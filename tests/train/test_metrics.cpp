#include "train/metrics.h"

#include "support/gpu.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

void check(torch::Device device) {
  auto values = torch::arange(3, torch::TensorOptions(device).dtype(torch::kFloat64)) + 0.1;
  const DeferredValues deferred(values);
  values.fill_(-1.0);  // behind the copy
  REQUIRE(deferred.get() == std::vector<double>{0.1, 1.1, 2.1});
  REQUIRE(deferred.get() == std::vector<double>{0.1, 1.1, 2.1});
}

TEST_CASE("deferred values are those at the time of the copy") { check(torch::kCPU); }

TEST_CASE("deferred values of a GPU", "[.][cuda]") {
  require_gpu();
  check(torch::kCUDA);
}

}  // namespace
}  // namespace zebra
