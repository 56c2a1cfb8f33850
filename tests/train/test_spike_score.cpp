#include "train/spike_score.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "support/catch.h"

namespace zebra {
namespace {

TEST_CASE("a spike is measured in deviations of the values before it") {
  SpikeScore score;
  std::vector<double> values;
  for (int i = 0; i < 32; ++i) values.push_back(2.0 + (i % 2 == 0 ? 0.25 : -0.25));
  for (const double value : values) REQUIRE_FALSE(score.add(value));
  REQUIRE_FALSE(score.take_highest());
  REQUIRE(score.add(3.5).value() == Approx(6.0));  // mean 2, deviation 0.25
  REQUIRE(score.add(1.0).value() < 0.0);
  REQUIRE(score.take_highest().value() == Approx(6.0));
  REQUIRE_FALSE(score.take_highest());
}

TEST_CASE("only the last 128 finite values count") {
  SpikeScore score;
  for (int i = 0; i < 10; ++i) score.add(1e6);
  for (int i = 0; i < 128; ++i) score.add(i % 2);
  REQUIRE_FALSE(score.add(std::nan("")));
  REQUIRE_FALSE(score.add(INFINITY));
  REQUIRE(score.state().recent.size() == 128);
  REQUIRE(score.add(2.0).value() == Approx(3.0));  // mean 0.5, deviation 0.5
}

TEST_CASE("equal values are no spike, and a state goes on where it was") {
  SpikeScore score;
  for (int i = 0; i < 40; ++i) score.add(0.1);
  REQUIRE(score.add(0.1).value() == 0.0);
  score.add(0.2);
  REQUIRE(score.add(0.25).value() > 1.0);
  const nlohmann::ordered_json json = score.state();
  SpikeScore resumed;
  resumed.set_state(nlohmann::ordered_json::parse(json.dump()).get<SpikeScore::State>());
  REQUIRE(resumed.add(0.3) == score.add(0.3));
  REQUIRE(resumed.take_highest() == score.take_highest());
  REQUIRE(score.state().recent == resumed.state().recent);
  const nlohmann::ordered_json without = score.state();
  REQUIRE_FALSE(without.get<SpikeScore::State>().highest);
}

}  // namespace
}  // namespace zebra
