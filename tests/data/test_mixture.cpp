#include "data/mixture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "base/error.h"
#include "support/catch.h"

using namespace zebra;

namespace {

constexpr std::uint64_t kBlock = 1024;

/// Greatest distance of any source from its exact share at the end of any of the blocks.
double largest_distance(MixtureOrder order, const std::vector<MixtureSource>& sources,
                        std::uint64_t blocks) {
  const double total =
      std::accumulate(sources.begin(), sources.end(), 0.0,
                      [](double sum, const MixtureSource& source) { return sum + source.weight; });
  std::vector<double> given(sources.size());
  double largest = 0.0;
  for (std::uint64_t i = 0; i < blocks * kBlock; ++i) {
    given[static_cast<std::size_t>(order.at(i).source)] += 1.0;
    if ((i + 1) % kBlock != 0) continue;
    for (std::size_t s = 0; s < sources.size(); ++s) {
      const double exact = static_cast<double>(i + 1) * sources[s].weight / total;
      largest = std::max(largest, std::abs(exact - given[s]));
    }
  }
  return largest;
}

}  // namespace

TEST_CASE("After each block every source is within one sample of its share", "[data][mixture]") {
  std::mt19937 random(7);
  for (int trial = 0; trial < 25; ++trial) {
    std::vector<MixtureSource> sources(1 + random() % 6);
    for (auto& source : sources) {
      source.samples = 1 + random() % 5000;
      source.weight = 0.001 + static_cast<double>(random() % 1000);
    }
    CHECK(largest_distance(MixtureOrder(3, sources), sources, 40) < 1.0 + 1e-9);
  }
}

TEST_CASE("Known shares of the first blocks", "[data][mixture]") {
  MixtureOrder order(11, {{10000, 0.5}, {10000, 0.3}, {10000, 0.2}});
  // 512, 307.2, 204.8, then 1024, 614.4, 409.6: rounded down, the rest to the largest fraction.
  const std::vector<std::vector<int>> expected = {
      {512, 307, 205}, {512, 307, 205}, {512, 308, 204}};
  for (std::uint64_t block = 0; block < expected.size(); ++block) {
    std::vector<int> counts(3);
    for (std::uint64_t i = 0; i < kBlock; ++i) {
      ++counts[static_cast<std::size_t>(order.at(block * kBlock + i).source)];
    }
    CHECK(counts == expected[block]);
  }
}

TEST_CASE("Ties go to the first source", "[data][mixture]") {
  MixtureOrder order(11, {{10, 2.0}, {10, 2.0}, {10, 2.0}});
  std::vector<int> counts(3);
  for (std::uint64_t i = 0; i < kBlock; ++i) ++counts[static_cast<std::size_t>(order.at(i).source)];
  CHECK(counts == std::vector<int>{342, 341, 341});
}

TEST_CASE("An epoch of a source visits each of its samples once", "[data][mixture]") {
  const std::vector<MixtureSource> sources = {{700, 3.0}, {1, 0.2}, {333, 1.0}};
  MixtureOrder order(5, sources);
  std::vector<std::map<std::int64_t, std::multiset<std::int64_t>>> seen(sources.size());
  std::vector<std::map<std::int64_t, std::vector<std::int64_t>>> by_time(sources.size());
  for (std::uint64_t i = 0; i < 12 * kBlock; ++i) {
    const auto [source, sample, epoch] = order.at(i);
    seen[static_cast<std::size_t>(source)][epoch].insert(sample);
    by_time[static_cast<std::size_t>(source)][epoch].push_back(sample);
  }
  for (std::size_t s = 0; s < sources.size(); ++s) {
    std::multiset<std::int64_t> all;
    for (std::int64_t sample = 0; sample < sources[s].samples; ++sample) all.insert(sample);
    REQUIRE(seen[s].size() > 2);
    const auto last = std::prev(seen[s].end());
    std::int64_t epoch = 0;
    for (auto it = seen[s].begin(); it != seen[s].end(); ++it, ++epoch) {
      CHECK(it->first == epoch);
      if (it != last) CHECK(it->second == all);
      CHECK(std::includes(all.begin(), all.end(), it->second.begin(), it->second.end()));
    }
  }
  CHECK(by_time[0][0] != by_time[0][1]);
}

TEST_CASE("A sample does not depend on what was asked before", "[data][mixture]") {
  const std::vector<MixtureSource> sources = {{900, 1.0}, {50, 0.37}, {7, 1e-3}};
  constexpr std::uint64_t kSamples = 9 * kBlock + 100;
  MixtureOrder forward(21, sources);
  std::vector<SampleLocation> expected;
  for (std::uint64_t i = 0; i < kSamples; ++i) expected.push_back(forward.at(i));

  MixtureOrder jumping(21, sources);
  std::mt19937 random(1);
  for (int call = 0; call < 3000; ++call) {
    const std::uint64_t i = random() % kSamples;
    REQUIRE(jumping.at(i) == expected[i]);
  }
  for (int restart = 0; restart < 20; ++restart) {
    MixtureOrder resumed(21, sources);
    for (std::uint64_t i = random() % kSamples; i < kSamples; i += 1 + random() % 300) {
      REQUIRE(resumed.at(i) == expected[i]);
    }
  }

  MixtureOrder other_seed(22, sources);
  std::size_t equal = 0;
  for (std::uint64_t i = 0; i < kSamples; ++i) equal += other_seed.at(i) == expected[i] ? 1 : 0;
  CHECK(equal < kSamples / 2);
}

TEST_CASE("A block mixes its sources", "[data][mixture]") {
  MixtureOrder order(2, {{100000, 1.0}, {100000, 1.0}});
  for (std::uint64_t eighth = 0; eighth < 8; ++eighth) {
    std::int64_t of_second = 0;
    for (std::uint64_t i = 0; i < 128; ++i) of_second += order.at(eighth * 128 + i).source;
    CHECK(of_second > 32);
    CHECK(of_second < 96);
  }
}

TEST_CASE("A tiny source gets its share in the long run", "[data][mixture]") {
  const std::vector<MixtureSource> sources = {{1000000, 1.0}, {3, 1e-5}, {500, 0.01}};
  MixtureOrder order(4, sources);
  std::int64_t tiny = 0;
  constexpr std::uint64_t kSamples = 977 * kBlock;
  for (std::uint64_t i = 0; i < kSamples; ++i) tiny += order.at(i).source == 1 ? 1 : 0;
  const double exact = static_cast<double>(kSamples) * 1e-5 / 1.01001;
  CHECK(std::abs(static_cast<double>(tiny) - exact) < 1.0);
}

TEST_CASE("Whole shares that exceed a block are cut to it", "[data][mixture]") {
  // In block 11 the whole parts of these shares add up to 1,025 because small sources were given
  // their first sample early.
  std::vector<MixtureSource> sources;
  for (const double weight : {23., 8., 8., 10., 5., 58346., 54008., 59030.}) {
    sources.push_back({1000, weight});
  }
  CHECK(largest_distance(MixtureOrder(1, sources), sources, 30) < 1.1);
}

TEST_CASE("A billion samples are skipped quickly, with the same result", "[data][mixture]") {
  const std::vector<MixtureSource> sources = {{123456789, 0.7}, {1000, 0.2}, {77777, 0.1}};
  constexpr std::uint64_t kFar = 1'000'000'000;
  MixtureOrder order(9, sources);
  const auto there = order.at(kFar);
  CHECK(order.at(0) == MixtureOrder(9, sources).at(0));
  CHECK(order.at(kFar) == there);
  const auto& source = sources[static_cast<std::size_t>(there.source)];
  CHECK(there.sample >= 0);
  CHECK(there.sample < source.samples);
  CHECK(std::abs(static_cast<double>(there.epoch) -
                 std::floor(kFar * source.weight / static_cast<double>(source.samples))) <= 1.0);
}

TEST_CASE("Sources of weight 0 are never drawn and may be empty", "[data][mixture]") {
  MixtureOrder order(1, {{0, 0.0}, {10, 1.0}, {10, 0.0}});
  for (std::uint64_t i = 0; i < 2 * kBlock; ++i) REQUIRE(order.at(i).source == 1);
}

TEST_CASE("Mixtures that cannot be drawn from are refused", "[data][mixture]") {
  CHECK_THROWS_AS(MixtureOrder(1, {}), InputError);
  CHECK_THROWS_AS(MixtureOrder(1, {{10, 0.0}}), InputError);
  CHECK_THROWS_AS(MixtureOrder(1, {{10, 1.0}, {0, 0.1}}), InputError);
  CHECK_THROWS_AS(MixtureOrder(1, {{10, 1.0}, {10, -0.1}}), InputError);
  CHECK_THROWS_AS(MixtureOrder(1, {{10, std::numeric_limits<double>::quiet_NaN()}}), InputError);
  CHECK_THROWS_AS(MixtureOrder(1, {{10, std::numeric_limits<double>::infinity()}}), InputError);
}

TEST_CASE("Absent weights are proportional to the tokens", "[data][mixture]") {
  const auto weights = mixture_weights({100, 300, 600}, {std::nullopt, std::nullopt, std::nullopt});
  REQUIRE(weights.size() == 3);
  CHECK(weights[1] / weights[0] == Approx(3.0));
  CHECK(weights[2] / weights[0] == Approx(6.0));
  CHECK(mixture_weights({100, 300}, {0.9, 0.1}) == std::vector<double>{0.9, 0.1});
  CHECK_THROWS_AS(mixture_weights({100, 300}, {0.9, std::nullopt}), InputError);
}
