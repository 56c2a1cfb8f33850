#include "data/key_blind.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iostream>
#include <map>
#include <vector>

#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

const ProbeVocabulary& small_vocabulary() {
  static const Tokenizer tokenizer(test_tokenizer());
  static const ProbeVocabulary made(tokenizer, {.keys = 32, .values = 32, .fillers = 8});
  return made;
}

constexpr std::int64_t kOwnReach = 5;

std::vector<std::string> right_strategies(const ProbeSpec& spec, const ProbeSequence& sequence,
                                          std::size_t answer) {
  const auto hits = key_blind_hits(spec, small_vocabulary(), sequence, 0, kOwnReach)[answer];
  std::vector<std::string> names;
  for (std::size_t k = 0; k < key_blind_strategies().size(); ++k)
    if ((hits >> k & 1U) != 0) names.push_back(key_blind_strategies()[k]);
  return names;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

/// Hits of each strategy, by band, where all answers of a question count as one.
struct Counts {
  std::array<std::vector<double>, kDistanceBands> hits;
  std::array<double, kDistanceBands> questions = {};

  Counts(const ProbeSpec& spec, ProbeSplit split, std::uint64_t items) {
    for (auto& of_band : hits) of_band.resize(key_blind_strategies().size());
    const bool per_answer = spec.task == ProbeTask::associative_recall;
    for (std::uint64_t item = 0; item < items; ++item) {
      const auto sequence = make_probe(spec, small_vocabulary(), {split, 3, item});
      const auto blind =
          key_blind_hits(spec, small_vocabulary(), sequence, item, spec.bands.reach());
      for (std::size_t i = 0; i < blind.size(); i += per_answer ? 1 : blind.size()) {
        auto bits = blind[i];
        if (!per_answer)
          for (const auto more : blind) bits &= more;
        const auto band =
            static_cast<std::size_t>(spec.bands.band_of(sequence.answers[i].distance));
        questions[band] += 1;
        for (std::size_t k = 0; k < hits[band].size(); ++k) hits[band][k] += bits >> k & 1U;
      }
    }
  }

  double share(std::size_t band, std::size_t strategy) const {
    return hits[band][strategy] / questions[band];
  }
  std::size_t best(std::size_t band) const {
    return static_cast<std::size_t>(std::ranges::max_element(hits[band]) - hits[band].begin());
  }
};

}  // namespace

TEST_CASE("Strategies guess by recency, age and number", "[data][probes]") {
  const auto key = small_vocabulary().keys();
  const auto value = small_vocabulary().values();
  const auto filler = small_vocabulary().fillers()[0], blank = small_vocabulary().blank();
  // K0 V0 K1 V1 K2 V2 K1 _
  const std::vector<std::int32_t> tokens = {small_vocabulary().bos(),
                                            key[0],
                                            value[0],
                                            key[1],
                                            value[1],
                                            filler,
                                            key[2],
                                            value[2],
                                            key[1],
                                            blank,
                                            small_vocabulary().eos()};
  const ProbeSpec spec = {ProbeTask::associative_recall, {2, 2}, 11};
  const auto right = [&](std::int64_t source) {
    const ProbeSequence sequence = {tokens,
                                    {{9, 8 - source, tokens[static_cast<std::size_t>(source)]}}};
    return right_strategies(spec, sequence, 0);
  };
  CHECK(has(right(7), "newest"));
  CHECK(has(right(7), "3rd oldest"));
  CHECK(has(right(7), "odd count"));
  CHECK(has(right(7), "most frequent"));
  CHECK_FALSE(has(right(7), "out of reach"));
  CHECK(has(right(4), "2nd newest"));
  CHECK(has(right(4), "2nd oldest"));
  CHECK_FALSE(has(right(4), "newest"));
  CHECK(has(right(2), "3rd newest"));
  CHECK(has(right(2), "oldest"));
  CHECK(has(right(2), "least frequent"));
  CHECK(has(right(2), "any") + has(right(4), "any") + has(right(7), "any") == 1);
}

TEST_CASE("What a reader's own layers show is told by its own reach", "[data][probes]") {
  const ProbeSpec spec = {ProbeTask::associative_recall, {4, 4}, 128};
  const auto share = [&](std::int64_t own_reach) {
    const auto bit = key_blind_strategies().size() - 1;
    REQUIRE(key_blind_strategies()[bit] == "out of own reach");
    double hits = 0, far = 0;
    for (std::uint64_t item = 0; item < 300; ++item) {
      const auto sequence = make_probe(spec, small_vocabulary(), {ProbeSplit::evaluation, 1, item});
      const auto blind = key_blind_hits(spec, small_vocabulary(), sequence, item, own_reach);
      for (std::size_t i = 0; i < blind.size(); ++i) {
        const bool is_far = sequence.answers[i].distance > own_reach;
        if (!is_far) REQUIRE((blind[i] >> bit & 1U) == 0);
        far += is_far ? 1 : 0;
        hits += blind[i] >> bit & 1U;
      }
    }
    return hits / far;
  };
  // The farther it sees, the fewer values are left to guess among.
  REQUIRE(share(96) > 1.5 * share(16));
  REQUIRE(share(16) > 0.0);
}

TEST_CASE("A strategy answers a string as a whole", "[data][probes]") {
  const ProbeSpec spec = {ProbeTask::copying, {4, 4}, 64};
  for (std::uint64_t item = 0; item < 50; ++item) {
    const auto sequence = make_probe(spec, small_vocabulary(), {ProbeSplit::evaluation, 1, item});
    const auto hits = key_blind_hits(spec, small_vocabulary(), sequence, item, kOwnReach);
    REQUIRE(hits.size() == 4);
    for (std::size_t k = 0; k < 12; ++k)  // by recency and age
      for (const auto bits : hits) REQUIRE((bits >> k & 1U) == (hits[0] >> k & 1U));
  }
}

TEST_CASE("No strategy does better on 4,000 new items than the floor that the evaluated ones give",
          "[data][probes]") {
  for (const DistanceBands bands : {DistanceBands{4, 8}, {16, 6}}) {
    for (const auto task : {ProbeTask::associative_recall, ProbeTask::passkey, ProbeTask::copying,
                            ProbeTask::variable_tracking}) {
      for (const std::int64_t length : {128, 256}) {
        const ProbeSpec spec = {task, bands, length};
        const Counts evaluated(spec, ProbeSplit::evaluation, 256),
            fresh(spec, ProbeSplit::training, 4000);
        for (const auto band : kAllDistanceBands) {
          const auto b = static_cast<std::size_t>(band);
          if (fresh.questions[b] == 0) continue;
          const auto floor = evaluated.share(b, evaluated.best(b));
          const auto best = fresh.best(b);
          CAPTURE(name_of(task), length, bands.window, name_of(band), key_blind_strategies()[best]);
          std::cout << name_of(task) << " at " << length << ", W = " << bands.window << ", "
                    << name_of(band) << ": floor " << floor << ", best of 4,000 items "
                    << fresh.share(b, best) << " (" << key_blind_strategies()[best] << ")\n";
          const auto share = fresh.share(b, best);
          const auto deviation = std::sqrt(share * (1 - share) *
                                           (1 / evaluated.questions[b] + 1 / fresh.questions[b]));
          CHECK(share <= floor + 4 * deviation);
        }
      }
    }
  }
}

TEST_CASE("Where windows have room for others, no strategy comes far", "[data][probes]") {
  for (const auto task : {ProbeTask::associative_recall, ProbeTask::passkey, ProbeTask::copying,
                          ProbeTask::variable_tracking}) {
    const ProbeSpec spec = {task, {64, 4}, 512};
    const Counts counts(spec, ProbeSplit::evaluation, 2000);
    for (std::size_t band = 0; band < kDistanceBands; ++band) {
      CAPTURE(name_of(task), band, counts.best(band), counts.share(band, counts.best(band)));
      CHECK(counts.share(band, counts.best(band)) < 0.40);
    }
  }
}
