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

const Tokenizer& tokenizer() {
  static const Tokenizer made(test_tokenizer());
  return made;
}

std::vector<std::int32_t> all_tokens(const ProbeVocabulary& vocabulary) {
  std::vector<std::int32_t> tokens = {vocabulary.copy_marker(), vocabulary.assignment_marker(),
                                      vocabulary.query_marker()};
  for (const auto part : {vocabulary.keys(), vocabulary.values(), vocabulary.fillers()}) {
    tokens.insert(tokens.end(), part.begin(), part.end());
  }
  return tokens;
}

/// Ordinary tokens of more than one byte.
std::int64_t long_tokens() {
  std::int64_t count = 0;
  for (std::int32_t id = 0; id < tokenizer().vocab_size(); ++id) {
    if (tokenizer().text_bytes(id) > 1) ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("The sets of a probe vocabulary are disjoint ordinary tokens", "[data][probes]") {
  const ProbeVocabulary vocabulary(tokenizer(), {.keys = 20, .values = 11});
  CHECK(vocabulary.keys().size() == 20);
  CHECK(vocabulary.values().size() == 11);
  CHECK(vocabulary.chance() == 1.0 / 11.0);
  const auto tokens = all_tokens(vocabulary);
  CHECK(std::set(tokens.begin(), tokens.end()).size() == tokens.size());
  CHECK(std::ssize(tokens) == long_tokens());
  for (const auto token : tokens) {
    CHECK(tokenizer().text_bytes(token) > 1);
    CHECK(token != tokenizer().bos());
    CHECK(token != tokenizer().eos());
  }
  const ProbeVocabulary few(tokenizer(), {.keys = 20, .values = 11, .fillers = 5});
  REQUIRE(few.fillers().size() == 5);
  CHECK(std::equal(few.fillers().begin(), few.fillers().end(), vocabulary.fillers().begin()));
  CHECK(vocabulary.bos() == tokenizer().bos());
  CHECK(vocabulary.eos() == tokenizer().eos());
}

TEST_CASE("A probe vocabulary is shuffled, and the same each time", "[data][probes]") {
  const ProbeVocabulary one(tokenizer()), other(tokenizer());
  CHECK(all_tokens(one) == all_tokens(other));
  CHECK(one.keys().size() == 32);
  CHECK(one.values().size() == 32);
  CHECK_FALSE(std::ranges::is_sorted(one.keys()));
  CHECK_FALSE(std::ranges::is_sorted(one.values()));
}

TEST_CASE("Tokens of one byte step in where there are too few others", "[data][probes]") {
  const auto enough = long_tokens() - 3 - 16;
  const ProbeVocabulary just(tokenizer(), {.keys = enough - 2, .values = 2});
  CHECK(std::ssize(all_tokens(just)) == long_tokens());
  const ProbeVocabulary larger(tokenizer(), {.keys = enough - 1, .values = 2});
  const auto tokens = all_tokens(larger);
  CHECK(std::ssize(tokens) > long_tokens() + 200);
  for (const auto token : tokens) CHECK(tokenizer().text_bytes(token) > 0);
  for (const auto token : larger.keys()) CHECK(tokenizer().text_bytes(token) > 1);
}

TEST_CASE("Text may fill a probe unless it is a key, a marker or no text", "[data][probes]") {
  const ProbeVocabulary vocabulary(tokenizer());
  for (const auto key : vocabulary.keys()) CHECK_FALSE(vocabulary.may_fill(key));
  for (const auto value : vocabulary.values()) CHECK(vocabulary.may_fill(value));
  for (const auto filler : vocabulary.fillers()) CHECK(vocabulary.may_fill(filler));
  const auto size = static_cast<std::int32_t>(tokenizer().vocab_size());
  for (const auto token :
       {vocabulary.copy_marker(), vocabulary.assignment_marker(), vocabulary.query_marker(),
        vocabulary.bos(), vocabulary.eos(), std::int32_t{-1}, size}) {
    CHECK_FALSE(vocabulary.may_fill(token));
  }
}

TEST_CASE("Bad sizes of a probe vocabulary are told", "[data][probes]") {
  const auto message = [](ProbeVocabularySizes sizes) {
    return message_of<InputError>([&] { ProbeVocabulary(tokenizer(), sizes); });
  };
  const auto both = message({.keys = 8, .values = 1});
  CHECK(contains(both, "number of keys is 8: give 9 or more"));
  CHECK(contains(both, "number of values is 1: give 2 or more"));
  CHECK(contains(message({.keys = 400, .values = 32}), "ordinary tokens"));
  CHECK(contains(message({.keys = 400, .values = 32}), "take 451"));
  CHECK(contains(message({.keys = 400, .values = 32}), tokenizer().path().string()));
  CHECK(contains(message({.keys = INT64_MAX, .values = 32}), "at most 1,000,000"));
}

namespace {

constexpr std::array kTasks = {ProbeTask::associative_recall, ProbeTask::passkey,
                               ProbeTask::copying, ProbeTask::variable_tracking};

const ProbeVocabulary& vocabulary() {
  static const ProbeVocabulary made(tokenizer());
  return made;
}

ProbeSequence probe(const ProbeSpec& spec, std::uint64_t index, std::uint64_t seed = 1,
                    ProbeSplit split = ProbeSplit::evaluation) {
  return make_probe(spec, vocabulary(), {split, seed, index});
}

std::int64_t answers_of(ProbeTask task, std::int64_t length) {
  switch (task) {
    case ProbeTask::associative_recall:
      return std::clamp<std::int64_t>(length / 8, 1, 32);
    case ProbeTask::passkey:
      return 4;
    case ProbeTask::copying:
      return 8;
    case ProbeTask::variable_tracking:
      return 1;
  }
  return 0;
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
    for (const std::int64_t more : {0, 1, 37, 208}) {
      for (const DistanceBands bands : {DistanceBands{16, 6}, {8, 4}, {1, 1}, {5, 60}}) {
        const ProbeSpec spec = {task, bands, shortest_probe_length(task) + more};
        for (std::uint64_t index = 0; index < 60; ++index) {
          CAPTURE(name_of(task), spec.length, bands.window, bands.layers, index);
          const auto sequence = probe(spec, index);
          REQUIRE(std::ssize(sequence.tokens) == spec.length);
          REQUIRE(sequence.tokens.front() == vocabulary().bos());
          REQUIRE(sequence.tokens.back() == vocabulary().eos());
          REQUIRE(std::ranges::count(sequence.tokens, vocabulary().bos()) == 1);
          REQUIRE(std::ranges::count(sequence.tokens, vocabulary().eos()) == 1);
          if (task == ProbeTask::associative_recall) {
            REQUIRE(std::ssize(sequence.answers) >= 1);
            REQUIRE(std::ssize(sequence.answers) <= answers_of(task, spec.length));
          } else {
            REQUIRE(std::ssize(sequence.answers) == answers_of(task, spec.length));
            REQUIRE(sequence.answers.front().distance == sequence.answers.back().distance);
          }
          check_answers(spec, vocabulary(), sequence);
          check_format(spec, vocabulary(), sequence);
        }
      }
    }
  }
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

TEST_CASE("Associative recall asks as often as it is told, as far as the keys go",
          "[data][probes]") {
  const auto answers = [](std::int64_t questions) {
    return probe({ProbeTask::associative_recall, {8, 4}, 256, questions}, 0).answers.size();
  };
  CHECK(answers(0) == 32);
  CHECK(answers(1) == 1);
  CHECK(answers(5) == 5);
  CHECK(answers(1000) == 32);  // keys
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

TEST_CASE("Copied strings lie anywhere", "[data][probes]") {
  std::set<std::int64_t> begins, ends;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const auto answers = probe({ProbeTask::copying, {5, 2}, 40}, i).answers;
    begins.insert(answers.front().source() - 1);
    ends.insert(answers.back().position);
  }
  CHECK(*begins.begin() == 1);
  CHECK(*ends.begin() == 18);  // BOS and two strings of a marker and 8 tokens
  CHECK(*ends.rbegin() == 38);
  CHECK(std::ssize(begins) == 38 - 18 + 1);
  CHECK(std::ssize(ends) == 38 - 18 + 1);
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
      CHECK(all > 0.995 * static_cast<double>(sequences * answers_of(task, length)));
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

TEST_CASE("Distances are uniform within a band", "[data][probes]") {
  const DistanceBands bands = {16, 6};
  for (const auto task : kTasks) {
    const bool is_crowded = task == ProbeTask::associative_recall;
    const ProbeSpec spec = {task, bands, 200};
    std::map<DistanceBand, std::vector<std::int64_t>> distances;
    for (std::uint64_t i = 0; i < (is_crowded ? 400 : 4000); ++i) {
      const auto sequence = probe(spec, i);
      const std::span answers(sequence.answers);
      for (const auto& answer : answers.first(is_crowded ? answers.size() : 1)) {
        distances[bands.band_of(answer.distance)].push_back(answer.distance);
      }
    }
    for (const auto band : kAllDistanceBands) {
      CAPTURE(name_of(task), name_of(band));
      const auto range = bands.distances(band, possible_distances(task, spec.length));
      const auto& drawn = distances[band];
      CHECK(std::ranges::min(drawn) == range.first);
      CHECK(std::ranges::max(drawn) == range.last);
      double mean = 0;
      for (const auto distance : drawn) mean += static_cast<double>(distance);
      mean /= static_cast<double>(drawn.size());
      const auto width = static_cast<double>(range.last - range.first + 1);
      const double middle = static_cast<double>(range.first + range.last) / 2;
      const double deviation =
          std::sqrt((width * width - 1) / 12 / static_cast<double>(drawn.size()));
      // Questions in a crowd lose some of the distances that have few places.
      CHECK(std::abs(mean - middle) < 4.5 * deviation + (is_crowded ? 0.02 * width : 0.0));
    }
  }
}

TEST_CASE("Each value answers as often", "[data][probes]") {
  for (const auto task : kTasks) {
    CAPTURE(name_of(task));
    std::map<std::int32_t, std::int64_t> counts;
    for (std::uint64_t i = 0; i < 2000; ++i) {
      const auto sequence = probe({task, {8, 4}, 128}, i);
      for (const auto& answer : sequence.answers) ++counts[token_at(sequence, answer.position)];
    }
    CHECK(chi_square(counts, 32) < 31 + 5 * std::sqrt(2.0 * 31));
  }
}

TEST_CASE("An answer can be told from what is in reach, and only then", "[data][probes]") {
  const Tokenizer tokenizer(test_tokenizer());
  const ProbeVocabulary few_values(tokenizer, {.keys = 32, .values = 3});
  const DistanceBands bands = {8, 4};
  for (const auto task : kTasks) {
    std::array<double, 5> hits = {};
    double beyond = 0;
    const std::uint64_t sequences = task == ProbeTask::associative_recall ? 1500 : 6000;
    for (std::uint64_t index = 0; index < sequences; ++index) {
      CAPTURE(name_of(task), index);
      const auto sequence =
          make_probe({task, bands, 52}, few_values, {ProbeSplit::training, 5, index});
      for (std::size_t i = 0; i < sequence.answers.size(); ++i) {
        const auto& answer = sequence.answers[i];
        const std::size_t number = task == ProbeTask::associative_recall ? 0 : i;
        const auto truth = token_at(sequence, answer.position);
        const auto end = static_cast<std::size_t>(answer.position);  // t + 1
        const auto all = Visible(sequence.tokens).first(end);
        REQUIRE(read_answer(task, few_values, all, number) == truth);

        const auto reach = static_cast<std::size_t>(bands.reach());
        const auto visible = all.last(std::min(end, reach + 1));
        const auto told = read_answer(task, few_values, visible, number);
        // The source is found by what stands before it: a key, a name and its marker, a string.
        const auto cue =
            task == ProbeTask::variable_tracking ? 2 : static_cast<std::int64_t>(number) + 1;
        if (answer.distance + cue <= bands.reach()) REQUIRE(told == truth);
        if (bands.band_of(answer.distance) != DistanceBand::beyond) continue;
        REQUIRE_FALSE(told.has_value());
        beyond += 1;
        const auto guessed = guesses(few_values, visible);
        for (std::size_t g = 0; g < hits.size(); ++g) hits[g] += guessed[g] == truth ? 1 : 0;
      }
    }
    REQUIRE(beyond > 900);
    const double chance = few_values.chance();
    for (std::size_t g = 0; g < hits.size(); ++g) {
      CAPTURE(name_of(task), g);
      CHECK(std::abs(hits[g] / beyond - chance) < 4.5 * std::sqrt(chance * (1 - chance) / beyond));
    }
  }
}

TEST_CASE("Natural text fills what a probe leaves free", "[data][probes]") {
  const auto fillers = vocabulary().fillers();
  Tokens text = {fillers[0],
                 vocabulary().keys()[3],
                 fillers[1],
                 vocabulary().eos(),
                 vocabulary().values()[2],
                 vocabulary().bos(),
                 fillers[2],
                 vocabulary().copy_marker(),
                 fillers[3],
                 vocabulary().keys()[7],
                 vocabulary().assignment_marker()};
  for (const auto task : kTasks) {
    CAPTURE(name_of(task));
    const ProbeSpec spec = {task, {8, 4}, 128};
    const auto sequence = make_probe(spec, vocabulary(), {ProbeSplit::evaluation, 1, 4}, text);
    const auto plain = probe(spec, 4);
    REQUIRE(sequence.tokens.size() == plain.tokens.size());
    check_answers(spec, vocabulary(), sequence);
    check_format(spec, vocabulary(), sequence);
    // Of the plain probe exactly the fillers give way.
    std::size_t next = 0;
    for (std::size_t i = 0; i < plain.tokens.size(); ++i) {
      CAPTURE(i);
      if (!is_in(fillers, plain.tokens[i])) {
        REQUIRE(sequence.tokens[i] == plain.tokens[i]);
        continue;
      }
      const auto given = text[next++ % text.size()];
      if (vocabulary().may_fill(given)) {
        REQUIRE(sequence.tokens[i] == given);
      } else {
        REQUIRE(is_in(fillers, sequence.tokens[i]));
      }
    }
    REQUIRE(next > text.size());
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
    CHECK_FALSE(possible_distances(task, shortest).empty());
    CHECK_THROWS_AS(probe({task, {1, 1}, -5}, 0), InputError);
  }
}
