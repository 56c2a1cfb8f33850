#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "data/recall_probes.h"
#include "data_support.h"
#include "support/catch.h"

// What each recall probe must be made of, read from its tokens.

namespace zebra::test {

inline bool is_in(std::span<const std::int32_t> set, std::int32_t token) {
  return std::ranges::find(set, token) != set.end();
}

inline std::int32_t token_at(const ProbeSequence& sequence, std::int64_t position) {
  return sequence.tokens.at(static_cast<std::size_t>(position));
}

/// How often each token of a set occurs.
inline std::map<std::int32_t, int> counts_of(std::span<const std::int32_t> set,
                                             const ProbeSequence& sequence) {
  std::map<std::int32_t, int> counts;
  for (const auto token : sequence.tokens) {
    if (is_in(set, token)) ++counts[token];
  }
  return counts;
}

/// Answers are labels: blanks stand in their place, and each value is there once.
inline void check_answers(const ProbeSpec& spec, const ProbeVocabulary& vocabulary,
                          const ProbeSequence& sequence) {
  const auto possible = possible_distances(spec);
  std::int64_t before = 0;
  for (const auto& answer : sequence.answers) {
    REQUIRE(answer.position > before);
    REQUIRE(answer.position < spec.length - 1);
    REQUIRE(answer.distance >= possible.first);
    REQUIRE(answer.distance <= possible.last);
    REQUIRE(answer.source() >= 2);
    REQUIRE(token_at(sequence, answer.position) == vocabulary.blank());
    REQUIRE(token_at(sequence, answer.source()) == answer.token);
    REQUIRE(vocabulary.is_value(answer.token));
    before = answer.position;
  }
  REQUIRE(std::ranges::count(sequence.tokens, vocabulary.blank()) == std::ssize(sequence.answers));
  for (const auto& [value, count] : counts_of(vocabulary.values(), sequence)) REQUIRE(count == 1);
}

/// New names that are assigned values or names assigned before, `hops` times in a row.
inline void check_assignments(const ProbeSpec& spec, const ProbeVocabulary& vocabulary,
                              const ProbeSequence& sequence) {
  std::map<std::int32_t, std::int64_t> hops;  // of each name, to its value
  std::int64_t chains = 0, ends = 0;
  for (std::int64_t i = 0; i < std::ssize(sequence.tokens); ++i) {
    if (token_at(sequence, i) != vocabulary.assignment_marker()) continue;
    const auto name = token_at(sequence, i + 1), meaning = token_at(sequence, i + 2);
    REQUIRE(is_in(vocabulary.keys(), name));
    REQUIRE_FALSE(hops.contains(name));
    if (vocabulary.is_value(meaning)) {
      ++chains;
      hops[name] = 0;
    } else {
      hops[name] = hops.at(meaning) + 1;
    }
    ends += hops[name] == spec.difficulty.hops ? 1 : 0;
    REQUIRE(hops[name] <= spec.difficulty.hops);
  }
  REQUIRE(chains >= 2);
  REQUIRE(ends >= 1);
  const auto asked = token_at(sequence, sequence.answers.front().position - 1);
  REQUIRE(hops.at(asked) == spec.difficulty.hops);
}

/// A question is a key that stands in front of the source as well; every other key is there once.
inline void check_keys(const ProbeVocabulary& vocabulary, const ProbeSequence& sequence,
                       std::span<const ProbeAnswer> questions) {
  Tokens asked;
  for (const auto& answer : questions) {
    const auto key = token_at(sequence, answer.position - 1);
    REQUIRE(token_at(sequence, answer.source() - 1) == key);
    REQUIRE_FALSE(is_in(asked, key));
    asked.push_back(key);
  }
  for (const auto& [key, count] : counts_of(vocabulary.keys(), sequence))
    REQUIRE(count == (is_in(asked, key) ? 2 : 1));
}

/// All answers and what leads to them, for each task as its format says.
inline void check_format(const ProbeSpec& spec, const ProbeVocabulary& vocabulary,
                         const ProbeSequence& sequence) {
  REQUIRE(std::ssize(sequence.tokens) == spec.length);
  REQUIRE(sequence.tokens.front() == vocabulary.bos());
  REQUIRE(sequence.tokens.back() == vocabulary.eos());
  REQUIRE(std::ranges::count(sequence.tokens, vocabulary.bos()) == 1);
  REQUIRE(std::ranges::count(sequence.tokens, vocabulary.eos()) == 1);
  REQUIRE_FALSE(sequence.answers.empty());
  check_answers(spec, vocabulary, sequence);
  const std::span answers(sequence.answers);
  const auto& first = answers.front();
  const auto& last = answers.back();
  if (spec.task == ProbeTask::associative_recall) return check_keys(vocabulary, sequence, answers);

  REQUIRE(last.position == spec.length - 2);
  REQUIRE(last.position - first.position == std::ssize(answers) - 1);
  REQUIRE(first.distance == last.distance);
  if (spec.task == ProbeTask::variable_tracking) {
    REQUIRE(answers.size() == 1);
    REQUIRE(token_at(sequence, first.position - 2) == vocabulary.query_marker());
    REQUIRE(std::ranges::count(sequence.tokens, vocabulary.query_marker()) == 1);
    check_assignments(spec, vocabulary, sequence);
  } else {
    REQUIRE(answers.size() == (spec.task == ProbeTask::copying ? 4U : 1U));
    check_keys(vocabulary, sequence, answers.first(1));
  }
}

}  // namespace zebra::test
