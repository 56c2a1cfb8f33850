#include "measurement/device_meter.h"

#include <malloc.h>

#include <chrono>
#include <thread>

#include "support/catch.h"

namespace zebra {
namespace {

constexpr std::int64_t kMiB = 1024 * 1024;

TEST_CASE("seconds are those of the work") {
  const DeviceMeter meter(torch::kCPU);
  const auto seconds =
      meter.seconds([] { std::this_thread::sleep_for(std::chrono::milliseconds(30)); });
  REQUIRE(seconds >= 0.030);
  REQUIRE(seconds < 5.0);
}

TEST_CASE("the peak of memory counts from its reset and covers what is freed since") {
  const DeviceMeter meter(torch::kCPU);
  REQUIRE_FALSE(meter.machine().empty());
  torch::ones({64 * kMiB});  // 256 MiB, given back before the reset
  const auto before = meter.reset_peak_bytes();
  if (!before) {
    WARN("this system does not tell the peak of a process");
    return;
  }
  torch::ones({16 * kMiB});  // 64 MiB
  malloc_trim(0);            // no longer resident
  const auto peak = meter.peak_bytes().value() - *before;
  REQUIRE(peak >= 60 * kMiB);  // the kernel counts to some pages per processor
  REQUIRE(peak < 128 * kMiB);
  REQUIRE(meter.reset_peak_bytes().value() < *before + 32 * kMiB);
}

}  // namespace
}  // namespace zebra
