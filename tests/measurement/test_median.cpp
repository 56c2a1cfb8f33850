#include "measurement/median.h"

#include <cmath>

#include "support/catch.h"

namespace zebra {
namespace {

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
