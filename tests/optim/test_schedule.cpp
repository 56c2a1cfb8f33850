#include "optim/schedule.h"

#include "support/catch.h"

namespace zebra {
namespace {

ScheduleSection schedule(ScheduleType type, std::int64_t warmup, double min_ratio) {
  ScheduleSection section;
  section.type = type;
  section.warmup_steps = warmup;
  section.min_lr_ratio = min_ratio;
  section.decay_steps = 20;
  return section;
}

TEST_CASE("warm-up is linear and reaches the peak") {
  const auto type = GENERATE(ScheduleType::cosine, ScheduleType::wsd, ScheduleType::constant);
  const auto section = schedule(type, 10, 0.1);
  REQUIRE(learning_rate_factor(section, 1, 100) == Approx(0.1));
  REQUIRE(learning_rate_factor(section, 5, 100) == Approx(0.5));
  REQUIRE(learning_rate_factor(section, 10, 100) == Approx(1.0));
}

TEST_CASE("the window grows linearly from 1 to its full width") {
  ScheduleSection section;
  REQUIRE(window_at(section, 512, 1) == 512);
  section.window_warmup_steps = 10;
  REQUIRE(window_at(section, 512, 1) == 51);
  REQUIRE(window_at(section, 512, 9) == 460);
  REQUIRE(window_at(section, 512, 10) == 512);
  REQUIRE(window_at(section, 512, 1000) == 512);
  REQUIRE(window_at(section, 3, 1) == 1);
  REQUIRE(window_at(section, 3, 4) == 1);
  REQUIRE(window_at(section, 3, 7) == 2);
  REQUIRE(window_at(section, 0, 1) == 0);
}

TEST_CASE("cosine: half way down in the middle, the least at the end and beyond") {
  const auto section = schedule(ScheduleType::cosine, 20, 0.1);
  REQUIRE(learning_rate_factor(section, 60, 100) == Approx(0.55));
  REQUIRE(learning_rate_factor(section, 100, 100) == Approx(0.1));
  REQUIRE(learning_rate_factor(section, 130, 100) == Approx(0.1));
}

TEST_CASE("wsd: flat, then one minus the square root") {
  const auto section = schedule(ScheduleType::wsd, 10, 0.0);
  REQUIRE(learning_rate_factor(section, 80, 100) == 1.0);
  REQUIRE(learning_rate_factor(section, 85, 100) == Approx(0.5));
  REQUIRE(learning_rate_factor(section, 100, 100) == Approx(0.0).margin(1e-12));
}

TEST_CASE("constant, and no warm-up at all") {
  REQUIRE(learning_rate_factor(schedule(ScheduleType::constant, 0, 0.1), 1, 100) == 1.0);
  REQUIRE(learning_rate_factor(schedule(ScheduleType::cosine, 0, 0.1), 1, 1) == Approx(0.1));
}

}  // namespace
}  // namespace zebra
