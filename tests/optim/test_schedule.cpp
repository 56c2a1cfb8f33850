#include "optim/schedule.h"

#include <cmath>
#include <limits>

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

TEST_CASE("non-finite steps are skipped, three in a row diverge") {
  SkipRule rule(0.0);
  REQUIRE(rule.skips(std::nan(""), 1.0));
  REQUIRE(rule.skips(1.0, std::numeric_limits<double>::infinity()));
  REQUIRE_FALSE(rule.diverged());
  REQUIRE_FALSE(rule.skips(1.0, 1e9));
  REQUIRE(rule.skips(std::nan(""), std::nan("")));
  REQUIRE(rule.skips(std::nan(""), 1.0));
  REQUIRE_FALSE(rule.diverged());
  REQUIRE(rule.skips(std::nan(""), 1.0));
  REQUIRE(rule.diverged());
  REQUIRE(rule.state().skipped_steps == 5);
}

TEST_CASE("a spike beyond the running median is skipped once the median is known") {
  SkipRule rule(4.0);
  for (int i = 0; i < 15; ++i) REQUIRE_FALSE(rule.skips(2.0, i == 7 ? 1000.0 : 1.0));
  REQUIRE_FALSE(rule.skips(2.0, 3.9));
  REQUIRE(rule.skips(2.0, 4.1));
  REQUIRE_FALSE(rule.skips(2.0, 3.9));
}

TEST_CASE("norms that rise for good do not stop training for ever") {
  SkipRule rule(3.0);
  for (int i = 0; i < 200; ++i) rule.skips(2.0, 1.0);
  int skipped = 0;
  while (rule.skips(2.0, 10.0)) ++skipped;
  REQUIRE(skipped > 10);
  REQUIRE(skipped <= static_cast<int>(SkipRule::kMostNorms) / 2 + 1);
}

TEST_CASE("the restored state takes the same decisions, within a bounded window") {
  SkipRule rule(2.0), restored(2.0);
  for (int i = 0; i < 500; ++i) rule.skips(1.0, 1.0 + 0.3 * std::sin(i));
  REQUIRE(rule.state().recent_norms.size() == SkipRule::kMostNorms);
  restored.set_state(rule.state());
  for (int i = 0; i < 200; ++i) {
    const double norm = 1.0 + std::fmod(i * 0.37, 1.5);
    REQUIRE(rule.skips(1.0, norm) == restored.skips(1.0, norm));
  }
}

}  // namespace
}  // namespace zebra
