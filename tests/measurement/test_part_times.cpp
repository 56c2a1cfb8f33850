#include "measurement/part_times.h"

#include <chrono>
#include <thread>

#include "ops/part_scope.h"
#include "support/catch.h"

namespace zebra {
namespace {

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

}  // namespace
}  // namespace zebra
