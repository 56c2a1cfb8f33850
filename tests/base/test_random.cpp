#include "base/random.h"

#include <cmath>
#include <set>
#include <vector>

#include "support/catch.h"

namespace zebra {
namespace {

TEST_CASE("Philox 4x32-10 gives the published vector") {
  // Random123's known answers: counter 0, key 0.
  const auto words = RandomStream(0).words(0);
  REQUIRE(words == std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
}

TEST_CASE("streams differ by seed, name and index, and repeat") {
  const auto value = [](std::uint64_t seed, const char* name, std::uint64_t index) {
    return RandomStream::named(seed, name, index).bits(3);
  };
  REQUIRE(value(1, "a", 0) == value(1, "a", 0));
  REQUIRE(std::set{value(1, "a", 0), value(2, "a", 0), value(1, "b", 0), value(1, "a", 1)}.size() ==
          4);
}

TEST_CASE("uniform and normal numbers have their moments") {
  const RandomStream stream(42);
  const int count = 200000;
  double sum = 0, normal_sum = 0, normal_square = 0, normal_fourth = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const double u = stream.uniform(i), x = stream.normal(i);
    REQUIRE((u >= 0.0 && u < 1.0));
    REQUIRE(std::isfinite(x));
    sum += u;
    normal_sum += x;
    normal_square += x * x;
    normal_fourth += x * x * x * x;
  }
  REQUIRE(sum / count == Approx(0.5).margin(0.004));
  REQUIRE(normal_sum / count == Approx(0.0).margin(0.012));
  REQUIRE(normal_square / count == Approx(1.0).margin(0.02));
  REQUIRE(normal_fourth / count == Approx(3.0).margin(0.15));
}

TEST_CASE("a permutation visits everything once, at every size") {
  for (std::uint64_t size = 1; size < 300; ++size) {
    const Permutation permutation(size, 7 * size);
    std::set<std::uint64_t> seen;
    for (std::uint64_t i = 0; i < size; ++i) {
      const auto value = permutation(i);
      REQUIRE(value < size);
      seen.insert(value);
    }
    REQUIRE(seen.size() == size);
  }
}

TEST_CASE("permutations depend on the key and move most elements") {
  const Permutation a(1000, 1), b(1000, 2);
  int same = 0, fixed_points = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    same += a(i) == b(i);
    fixed_points += a(i) == i;
  }
  REQUIRE(same < 20);
  REQUIRE(fixed_points < 20);
  const Permutation huge(std::uint64_t{1} << 60, 3);
  REQUIRE(huge(12345) < (std::uint64_t{1} << 60));
}

}  // namespace
}  // namespace zebra
