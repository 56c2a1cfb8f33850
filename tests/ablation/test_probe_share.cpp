#include "ablation/probe_share.h"

#include "base/error.h"
#include "support/catch.h"

using namespace zebra;

TEST_CASE("The only source gets what the probes leave") {
  DataSection data;
  data.train = {{"a", std::nullopt}};
  add_training_probes(data, "p", 0.75);
  REQUIRE(data.train.size() == 2);
  CHECK(data.train[0].path == "a");
  CHECK(data.train[0].weight.value() == Approx(0.25));
  CHECK(data.train[1].path == "p");
  CHECK(data.train[1].weight.value() == Approx(0.75));
}

TEST_CASE("Weights are scaled and keep their proportion") {
  DataSection data;
  data.train = {{"a", 6.0}, {"b", 2.0}};
  add_training_probes(data, "p", 0.2);
  REQUIRE(data.train.size() == 3);
  CHECK(data.train[0].weight.value() == Approx(0.6));
  CHECK(data.train[1].weight.value() == Approx(0.2));
  CHECK(data.train[2].weight.value() == Approx(0.2));
}

TEST_CASE("Several sources without weights are refused") {
  DataSection data;
  data.train = {{"a", std::nullopt}, {"b", std::nullopt}};
  CHECK_THROWS_WITH(add_training_probes(data, "p", 0.2),
                    Catch::Matchers::Contains("give each of them a weight"));
}
