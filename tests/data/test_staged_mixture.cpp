#include "data/staged_mixture.h"

#include <map>
#include <random>
#include <set>
#include <vector>

#include "base/error.h"
#include "support/catch.h"

using namespace zebra;

namespace {

constexpr std::uint64_t kSamplesOfBlock = 1024;

/// Shares that change twice, at places that are no ends of blocks; source 2 comes with the last.
const std::vector<std::int64_t> kSourceSamples = {700, 333, 50};
const std::vector<MixtureStage> kThreeStages = {
    {1500, {3.0, 1.0, 0.0}}, {2049, {0.0, 1.0, 0.0}}, {std::nullopt, {1.0, 1.0, 2.0}}};
constexpr std::uint64_t kLastStage = 1500 + 2049, kAllSamples = kLastStage + 4000;

std::vector<SampleLocation> locations(std::uint64_t seed) {
  StagedMixture mixture(seed, kSourceSamples, kThreeStages);
  std::vector<SampleLocation> all;
  for (std::uint64_t i = 0; i < kAllSamples; ++i) all.push_back(mixture.at(i));
  return all;
}

std::map<std::int64_t, int> counts_of(const std::vector<SampleLocation>& all, std::uint64_t begin,
                                      std::uint64_t end) {
  std::map<std::int64_t, int> counts;
  for (auto i = begin; i < end; ++i) ++counts[all[i].source];
  return counts;
}

}  // namespace

TEST_CASE("One stage is the mixture itself", "[data][stages]") {
  StagedMixture staged(5, {100, 30}, {{std::nullopt, {2.0, 1.0}}});
  MixtureOrder plain(5, {{100, 2.0}, {30, 1.0}});
  for (std::uint64_t i = 0; i < 3 * kSamplesOfBlock; ++i) REQUIRE(staged.at(i) == plain.at(i));
}

TEST_CASE("The first stage is as if there were no other, but for its last block",
          "[data][stages]") {
  StagedMixture staged(5, {100, 30}, {{1030, {2.0, 1.0}}, {std::nullopt, {0.0, 1.0}}});
  MixtureOrder plain(5, {{100, 2.0}, {30, 1.0}});
  for (std::uint64_t i = 0; i < kSamplesOfBlock; ++i) REQUIRE(staged.at(i) == plain.at(i));
}

TEST_CASE("Each stage gives each source its share, exactly at its end", "[data][stages]") {
  const auto all = locations(3);
  CHECK(counts_of(all, 0, 1500) == std::map<std::int64_t, int>{{0, 1125}, {1, 375}});
  CHECK(counts_of(all, 1500, kLastStage) == std::map<std::int64_t, int>{{1, 2049}});
  CHECK(counts_of(all, kLastStage, kLastStage + kSamplesOfBlock) ==
        std::map<std::int64_t, int>{{0, 256}, {1, 256}, {2, 512}});
}

TEST_CASE("An epoch of a source visits each of its samples once across stages", "[data][stages]") {
  std::vector<std::map<std::int64_t, std::multiset<std::int64_t>>> seen(kSourceSamples.size());
  for (const auto& [source, sample, epoch] : locations(3))
    seen[static_cast<std::size_t>(source)][epoch].insert(sample);
  for (std::size_t s = 0; s < seen.size(); ++s) {
    REQUIRE(seen[s].size() > 2);
    const auto last = std::prev(seen[s].end())->first;
    for (const auto& [epoch, samples] : seen[s]) {
      CAPTURE(s, epoch);
      const std::set<std::int64_t> distinct(samples.begin(), samples.end());
      CHECK(distinct.size() == samples.size());
      CHECK(*distinct.rbegin() < kSourceSamples[s]);
      // All of them, but for the epochs of the block that is not over.
      if (epoch < last - 20) CHECK(std::ssize(distinct) == kSourceSamples[s]);
    }
    CHECK(std::ssize(seen[s].at(0)) == kSourceSamples[s]);
  }
}

TEST_CASE("Neighbouring stages of the same shares have different orders", "[data][stages]") {
  StagedMixture staged(5, {100000, 100000},
                       {{kSamplesOfBlock, {1.0, 1.0}}, {std::nullopt, {1.0, 1.0}}});
  int alike = 0;
  for (std::uint64_t i = 0; i < kSamplesOfBlock; ++i)
    alike += staged.at(i).source == staged.at(kSamplesOfBlock + i).source;
  CHECK(alike > 400);
  CHECK(alike < 624);
}

TEST_CASE("A sample of a stage does not depend on what was asked before", "[data][stages]") {
  const auto expected = locations(21);
  StagedMixture jumping(21, kSourceSamples, kThreeStages);
  std::mt19937 random(1);
  for (int call = 0; call < 3000; ++call) {
    const std::uint64_t i = random() % kAllSamples;
    REQUIRE(jumping.at(i) == expected[i]);
  }
  for (const std::uint64_t begin : {1499ULL, 1500ULL, 3548ULL, 3549ULL, 5000ULL}) {
    StagedMixture resumed(21, kSourceSamples, kThreeStages);
    for (auto i = begin; i < begin + 20; ++i) REQUIRE(resumed.at(i) == expected[i]);
  }
  CHECK_FALSE(locations(22) == expected);
}

TEST_CASE("Stages of a sample or of a million blocks", "[data][stages]") {
  StagedMixture tiny(
      1, {3, 3}, {{1, {1.0, 0.0}}, {1, {0.0, 1.0}}, {2, {1.0, 0.0}}, {std::nullopt, {0.0, 1.0}}});
  CHECK(tiny.at(0).source == 0);
  CHECK(tiny.at(1).source == 1);
  CHECK(tiny.at(2).source == 0);
  CHECK(std::set<std::int64_t>{tiny.at(0).sample, tiny.at(2).sample, tiny.at(3).sample}.size() ==
        3);
  constexpr std::uint64_t kMany = 1'000'000 * kSamplesOfBlock + 77;
  StagedMixture large(1, {10, 20}, {{kMany, {0.5, 0.5}}, {std::nullopt, {1.0, 0.0}}});
  // The first block behind has its 1,024 samples of the source in any order.
  CHECK(large.at(kMany).epoch >= 51'200'003);
  CHECK(large.at(kMany).epoch <= 51'200'003 + 103);
  CHECK_THROWS_AS(StagedMixture(1, {10, 0}, {{5, {1.0, 0.0}}, {std::nullopt, {1.0, 1.0}}}),
                  InputError);
}
