#include "bench/device_meter.h"

#include <malloc.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "ops/part_scope.h"
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

// Sleeps at least so long.
void work(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

TEST_CASE("each second counts for the innermost part of its thread") {
  const DeviceMeter meter(torch::kCPU);
  const PartTimes times(meter);
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 2; ++i) {
    ZEBRA_PART("outer");
    work(3);
    {
      ZEBRA_PART("in", "ner");
      work(20);
    }
    {
      RECORD_USER_SCOPE("somebody else's");
      work(1);
    }
    std::thread([] {
      ZEBRA_PART("elsewhere");
      work(10);
    }).join();
  }
  const std::chrono::duration<double> lasted = std::chrono::steady_clock::now() - began;
  const auto seconds = times.seconds();
  REQUIRE(seconds.size() == 3);
  REQUIRE(seconds.at("inner") >= 0.040);
  REQUIRE(seconds.at("elsewhere") >= 0.020);
  // The thread that waits for another is at work on its own part.
  REQUIRE(seconds.at("outer") >= 0.026);
  REQUIRE(seconds.at("outer") + seconds.at("inner") <= lasted.count());
}

TEST_CASE("nobody listens any more") {
  const DeviceMeter meter(torch::kCPU);
  { const PartTimes times(meter); }
  const PartTimes times(meter);
  REQUIRE(times.seconds().empty());
  ZEBRA_PART("a part");
  REQUIRE(times.seconds().empty());  // it has not ended
}

TEST_CASE("the median is the middle value, or the mean of the middle two") {
  REQUIRE(median({3.0}) == 3.0);
  REQUIRE(median({9.0, 1.0, 5.0}) == 5.0);
  REQUIRE(median({8.0, 1.0, 4.0, 2.0}) == 3.0);
}

struct Pair {
  double a = 0, b = 0;
  std::vector<double*> figures() { return {&a, &b}; }
};

TEST_CASE("each figure has the median of its own") {
  const auto middle = median_figures(std::vector<Pair>{{1.0, 60.0}, {3.0, 20.0}, {2.0, 40.0}});
  REQUIRE(middle.a == 2.0);
  REQUIRE(middle.b == 40.0);
}

}  // namespace
}  // namespace zebra
