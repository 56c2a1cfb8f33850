#include "data/recall_probes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <span>

#include "base/error.h"
#include "data_support.h"
#include "probe_formats.h"
#include "recall_oracle.h"

using namespace zebra;
using namespace zebra::test;

namespace {

const ProbeVocabulary& default_vocabulary() {
  static const Tokenizer tokenizer(test_tokenizer());
  static const ProbeVocabulary made(tokenizer);
  return made;
}

constexpr std::array kTasks = {ProbeTask::associative_recall, ProbeTask::passkey,
                               ProbeTask::copying, ProbeTask::variable_tracking};

ProbeSequence probe(const ProbeSpec& spec, std::uint64_t index, std::uint64_t seed = 1,
                    ProbeSplit split = ProbeSplit::evaluation) {
  return make_probe(spec, default_vocabulary(), {split, seed, index});
}

/// Sum of (observed - expected)^2 / expected where each of the values is as likely.
double chi_square(const std::map<std::int32_t, std::int64_t>& counts, std::size_t values) {
  std::int64_t all = 0;
  for (const auto& [token, count] : counts) all += count;
  const double expected = static_cast<double>(all) / static_cast<double>(values);
  double sum = expected * static_cast<double>(values - counts.size());
  for (const auto& [token, count] : counts) {
    sum += std::pow(static_cast<double>(count) - expected, 2) / expected;
  }
  return sum;
}

}  // namespace

TEST_CASE("Every probe keeps to its format", "[data][probes]") {
  for (const auto task : kTasks) {
    for (const ProbeDifficulty difficulty : {ProbeDifficulty{}, {2, 1}, {5, 3}, {1000, 5}}) {
      for (const std::int64_t more : {0, 1, 37, 208}) {
        for (const DistanceBands bands : {DistanceBands{16, 6}, {8, 4}, {1, 1}, {5, 60}}) {
          const auto length = shortest_probe_length(task, difficulty.hops) + more;
          const ProbeSpec spec = {task, bands, length, 0, difficulty};
          for (std::uint64_t index = 0; index < 20; ++index) {
            CAPTURE(name_of(task), difficulty.pairs, difficulty.hops, length, bands.window,
                    bands.layers, index);
            check_format(spec, default_vocabulary(), probe(spec, index));
          }
        }
      }
    }
  }
}

TEST_CASE("What shares the sequence is never asked for, and there is always some of it",
          "[data][probes]") {
  for (const auto task : kTasks) {
    for (const std::int64_t more : {0, 5, 100}) {
      if (task == ProbeTask::associative_recall && more < 100)
        continue;  // the first may stand alone
      const ProbeSpec spec = {task, {4, 4}, shortest_probe_length(task) + more};
      for (std::uint64_t index = 0; index < 200; ++index) {
        CAPTURE(name_of(task), more, index);
        const auto sequence = probe(spec, index);
        const auto values = std::ranges::count_if(
            sequence.tokens, [](auto token) { return default_vocabulary().is_value(token); });
        REQUIRE(values >= 2 * std::ssize(sequence.answers));
      }
    }
  }
}

TEST_CASE("Associative recall asks as often as it is told, as far as the pairs go",
          "[data][probes]") {
  const auto answers = [](std::int64_t questions, std::int64_t pairs) {
    return probe({ProbeTask::associative_recall, {8, 4}, 256, questions, {pairs}}, 0)
        .answers.size();
  };
  CHECK(answers(0, 0) == 16);  // half of the 32 keys, of 256 / 8
  CHECK(answers(1, 0) == 1);
  CHECK(answers(5, 0) == 5);
  CHECK(answers(5, 6) == 3);
  CHECK(answers(1000, 0) == 16);
}

TEST_CASE("There are as many pairs, strings and chains as are wanted", "[data][probes]") {
  const auto values = [](ProbeTask task, std::int64_t pairs) {
    const auto sequence = probe({task, {8, 4}, 400, 0, {pairs}}, 3);
    return std::ranges::count_if(sequence.tokens,
                                 [](auto token) { return default_vocabulary().is_value(token); });
  };
  for (const std::int64_t pairs : {2, 3, 6}) {
    CHECK(values(ProbeTask::associative_recall, pairs) == pairs);
    CHECK(values(ProbeTask::passkey, pairs) == pairs);
    CHECK(values(ProbeTask::copying, pairs) == 4 * pairs);
    CHECK(values(ProbeTask::variable_tracking, pairs) == pairs);
  }
  CHECK(values(ProbeTask::associative_recall, 0) == 32);
  CHECK(values(ProbeTask::passkey, 0) == 8);
  CHECK(values(ProbeTask::copying, 0) == 16);
  CHECK(values(ProbeTask::variable_tracking, 0) == 4);
}

TEST_CASE("Difficulties are each number of pairs with each number of hops, where there are hops",
          "[data][probes]") {
  const std::vector<std::int64_t> pairs = {4, 8}, hops = {1, 3}, none;
  CHECK(difficulties_of(ProbeTask::variable_tracking, pairs, hops).size() == 4);
  CHECK(difficulties_of(ProbeTask::passkey, pairs, hops).size() == 2);
  const auto usual = difficulties_of(ProbeTask::passkey, none, hops);
  REQUIRE(usual.size() == 1);
  CHECK(usual[0].pairs == 0);
  CHECK(usual[0].hops == 2);
}

TEST_CASE("A probe depends on its arguments only", "[data][probes]") {
  for (const auto task : kTasks) {
    const ProbeSpec spec = {task, {8, 4}, 128};
    std::vector<Tokens> forward, backward;
    for (std::uint64_t i = 0; i < 9; ++i) forward.push_back(probe(spec, i).tokens);
    for (std::uint64_t i = 9; i-- > 0;) backward.push_back(probe(spec, i).tokens);
    std::ranges::reverse(backward);
    CHECK(forward == backward);
    for (std::size_t i = 1; i < 9; ++i) CHECK(forward[i] != forward[0]);
    CHECK(probe(spec, 0, 2).tokens != forward[0]);
    CHECK(probe(spec, 1, 0).tokens != probe(spec, 0, 1).tokens);
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      CHECK(probe(spec, 0, seed, ProbeSplit::training).tokens != forward[0]);
    }
  }
}

TEST_CASE("Tasks draw from streams of their own", "[data][probes]") {
  const DistanceBands bands = {16, 6};
  std::set<std::vector<DistanceBand>> drawn;
  for (const auto task : {ProbeTask::passkey, ProbeTask::copying, ProbeTask::variable_tracking}) {
    std::vector<DistanceBand> series;
    for (std::uint64_t i = 0; i < 40; ++i) {
      series.push_back(bands.band_of(probe({task, bands, 256}, i).answers.front().distance));
    }
    drawn.insert(series);
  }
  CHECK(drawn.size() == 3);
}

TEST_CASE("Where there are few places, nearer questions do not take those of the farthest",
          "[data][probes]") {
  // Of the distances beyond reach, 97 to 105, the last has one place, the one before it two.
  const ProbeSpec spec = {ProbeTask::associative_recall, {16, 6}, 110};
  double beyond = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    for (const auto& answer : probe(spec, i).answers) beyond += answer.distance > 96 ? 1 : 0;
  }
  const double asked = 1000 * 13 / 3.0;
  CHECK(beyond / asked > 0.57);  // placed in the order of drawing: 0.52
}

TEST_CASE("Bands are equally frequent", "[data][probes]") {
  struct Case {
    std::int64_t length;
    DistanceBands bands;
  };
  for (const auto& [length, bands] : {Case{256, {16, 6}}, {128, {8, 4}}, {64, {16, 6}}}) {
    for (const auto task : kTasks) {
      CAPTURE(name_of(task), length);
      const ProbeSpec spec = {task, bands, length};
      const std::int64_t sequences = task == ProbeTask::associative_recall ? 200 : 2000;
      std::map<DistanceBand, double> shares;
      double all = 0;
      for (std::int64_t i = 0; i < sequences; ++i) {
        for (const auto& answer : probe(spec, static_cast<std::uint64_t>(i)).answers) {
          shares[bands.band_of(answer.distance)] += 1;
          all += 1;
        }
      }
      const std::int64_t answers = task == ProbeTask::associative_recall
                                       ? std::min<std::int64_t>(length / 8, 16)
                                   : task == ProbeTask::copying ? 4
                                                                : 1;
      // Questions in a crowd may find no room.
      const double least = task == ProbeTask::associative_recall ? 0.9 : 1.0;
      CHECK(all >= least * static_cast<double>(sequences * answers));
      const std::size_t bands_in_reach = length == 64 ? 2 : 3;
      REQUIRE(shares.size() == bands_in_reach);
      const double share = 1.0 / static_cast<double>(bands_in_reach);
      const double independent = task == ProbeTask::associative_recall
                                     ? all
                                     : static_cast<double>(sequences);  // draws of a band
      const double tolerance = 4.5 * std::sqrt(share * (1 - share) / independent);
      for (const auto& [band, count] : shares) {
        CAPTURE(name_of(band));
        CHECK(std::abs(count / all - share) < tolerance);
      }
    }
  }
}

TEST_CASE("Every distance of a band occurs", "[data][probes]") {
  const DistanceBands bands = {16, 4};
  for (const auto task : kTasks) {
    const ProbeSpec spec = {task, bands, 120};
    std::set<std::int64_t> distances;
    for (std::uint64_t i = 0; i < 4000; ++i)
      for (const auto& answer : probe(spec, i).answers) distances.insert(answer.distance);
    const auto possible = possible_distances(spec);
    CAPTURE(name_of(task));
    CHECK(*distances.begin() == possible.first);
    CHECK(*distances.rbegin() == possible.last);
    CHECK(std::ssize(distances) == possible.last - possible.first + 1);
  }
}

TEST_CASE("Each value answers as often", "[data][probes]") {
  for (const auto task : kTasks) {
    CAPTURE(name_of(task));
    std::map<std::int32_t, std::int64_t> counts;
    for (std::uint64_t i = 0; i < 2000; ++i) {
      const auto sequence = probe({task, {8, 4}, 128}, i);
      for (const auto& answer : sequence.answers) ++counts[answer.token];
    }
    CHECK(chi_square(counts, 32) < 31 + 5 * std::sqrt(2.0 * 31));
  }
}

TEST_CASE("Who looks keys up is always right, with what is in reach, and only then",
          "[data][probes]") {
  const DistanceBands bands = {8, 4};
  for (const auto task : kTasks) {
    std::int64_t beyond = 0;
    for (std::uint64_t index = 0; index < 1500; ++index) {
      CAPTURE(name_of(task), index);
      const auto sequence = probe({task, bands, 70}, index);
      for (std::size_t i = 0; i < sequence.answers.size(); ++i) {
        const auto& answer = sequence.answers[i];
        const std::size_t number = task == ProbeTask::associative_recall ? 0 : i;
        const auto end = static_cast<std::size_t>(answer.position);  // t + 1
        const auto all = Visible(sequence.tokens).first(end);
        REQUIRE(read_answer(task, default_vocabulary(), all, number) == answer.token);

        const auto reach = static_cast<std::size_t>(bands.reach());
        const auto visible = all.last(std::min(end, reach + 1));
        const auto told = read_answer(task, default_vocabulary(), visible, number);
        // The source is found by what stands before it: a key, a name and its marker, a string.
        const auto cue =
            task == ProbeTask::variable_tracking ? 2 : static_cast<std::int64_t>(number) + 1;
        if (answer.distance + cue <= bands.reach()) REQUIRE(told == answer.token);
        if (bands.band_of(answer.distance) != DistanceBand::beyond) continue;
        REQUIRE(told != answer.token);
        ++beyond;
      }
    }
    REQUIRE(beyond > 400);
  }
}

TEST_CASE("A probe without room or bands is refused", "[data][probes]") {
  for (const auto task : kTasks) {
    const auto shortest = shortest_probe_length(task);
    const auto message = message_of<InputError>([&] { probe({task, {0, -1}, shortest - 1}, 0); });
    CHECK(contains(message, "a sequence of " + std::to_string(shortest - 1) + " tokens"));
    CHECK(contains(message, name_of(task)));
    CHECK(contains(message, "length of " + std::to_string(shortest) + " or more"));
    CHECK(contains(message, "window is 0"));
    CHECK(contains(message, "layers is -1"));
    CHECK_FALSE(possible_distances({task, {1, 1}, shortest}).empty());
    CHECK_THROWS_AS(probe({task, {1, 1}, -5}, 0), InputError);
  }
  const auto message = [](ProbeDifficulty difficulty) {
    return message_of<InputError>([&] {
      probe({ProbeTask::variable_tracking, {1, 1}, 10'000, 0, difficulty}, 0);
    });
  };
  CHECK(contains(message({1, 2}), "number of pairs is 1: give 2 or more"));
  CHECK(contains(message({0, 0}), "number of hops is 0: give 1 or more"));
  CHECK(contains(message({0, 16}), "takes 34 names for two chains, but there are 32 keys"));
  Problems problems;
  check_probes(kTasks, std::array<std::int64_t, 2>{3, 3}, {}, {}, 32, problems);
  CHECK(problems.all().size() == 4);  // each once
}
