#include "measurement/reference_timing.h"

#include <ATen/Parallel.h>

#include "support/models.h"
#include "support/tensors.h"

namespace zebra {
namespace {

// Tiny tasks, on a machine that may be busy.
const DeviceMeter& one_thread() {
  at::set_num_threads(1);
  static const DeviceMeter meter(torch::kCPU);
  return meter;
}

ReferenceWork small_work(const std::string& pattern, bool has_global, bool has_local) {
  return {testing::small_model(pattern), has_global, has_local, 33, 2, {1, 6, 40}, 4};
}

TEST_CASE("every part of a reference is timed") {
  const auto precision = GENERATE(Precision::fp32, Precision::bf16);
  auto seconds = time_reference(small_work("LLL", true, true), precision, {}, one_thread());
  REQUIRE(seconds.token_reads.size() == 3);
  for (const auto* figure : seconds.figures()) REQUIRE(*figure > 0.0);
}

TEST_CASE("a kind of layer that no layout has is not timed") {
  const bool global = GENERATE(true, false);
  const auto seconds = time_reference(small_work(global ? "GG" : "LL", global, !global),
                                      Precision::fp32, {}, one_thread());
  REQUIRE((seconds.global_attention.forward > 0.0) == global);
  REQUIRE((seconds.global_attention.backward > 0.0) == global);
  REQUIRE((seconds.local_attention.forward > 0.0) == !global);
  REQUIRE((seconds.local_attention.backward > 0.0) == !global);
}

}  // namespace
}  // namespace zebra
