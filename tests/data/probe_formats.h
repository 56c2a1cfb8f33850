#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "data/recall_probes.h"
#include "support/catch.h"

// What each recall probe must be made of, read from its tokens.

namespace zebra::test {

using Tokens = std::vector<std::int32_t>;

inline bool is_in(std::span<const std::int32_t> set, std::int32_t token) {
  return std::ranges::find(set, token) != set.end();
}

inline std::int32_t token_at(const ProbeSequence& sequence, std::int64_t position) {
  return sequence.tokens.at(static_cast<std::size_t>(position));
}

/// How often each key occurs.
inline std::map<std::int32_t, int> key_counts(const ProbeVocabulary& vocabulary,
                                              const ProbeSequence& sequence) {
  std::map<std::int32_t, int> counts;
  for (const auto token : sequence.tokens) {
    if (is_in(vocabulary.keys(), token)) ++counts[token];
  }
  return counts;
}

inline void check_answers(const ProbeSpec& spec, const ProbeVocabulary& vocabulary,
                          const ProbeSequence& sequence) {
  const auto possible = possible_distances(spec.task, spec.length);
  std::int64_t before = 0;
  for (const auto& answer : sequence.answers) {
    REQUIRE(answer.position > before);
    REQUIRE(answer.position < spec.length - 1);
    REQUIRE(answer.distance >= possible.first);
    REQUIRE(answer.distance <= possible.last);
    REQUIRE(answer.source() == answer.position - 1 - answer.distance);
    REQUIRE(answer.source() >= 2);
    REQUIRE(token_at(sequence, answer.source()) == token_at(sequence, answer.position));
    REQUIRE(is_in(vocabulary.values(), token_at(sequence, answer.position)));
    before = answer.position;
  }
}

/// Nine assignments of new names, three of them to values, the others to names assigned before.
inline void check_assignments(const ProbeVocabulary& vocabulary, const ProbeSequence& sequence) {
  Tokens known;
  int roots = 0;
  for (std::int64_t i = 0; i < std::ssize(sequence.tokens); ++i) {
    if (token_at(sequence, i) != vocabulary.assignment_marker()) continue;
    const auto name = token_at(sequence, i + 1), meaning = token_at(sequence, i + 2);
    REQUIRE(is_in(vocabulary.keys(), name));
    REQUIRE_FALSE(is_in(known, name));
    if (is_in(vocabulary.values(), meaning)) {
      ++roots;
    } else {
      REQUIRE(is_in(known, meaning));
    }
    known.push_back(name);
  }
  REQUIRE(roots == 3);
}

/// All answers and what leads to them, for each task as its format says.
inline void check_format(const ProbeSpec& spec, const ProbeVocabulary& vocabulary,
                         const ProbeSequence& sequence) {
  const auto keys = key_counts(vocabulary, sequence);
  const auto first = sequence.answers.front();
  const auto occurrences = [&](std::int32_t token) {
    return std::ranges::count(sequence.tokens, token);
  };
  switch (spec.task) {
    case ProbeTask::associative_recall:
      REQUIRE(keys.size() == sequence.answers.size());
      for (const auto& answer : sequence.answers) {
        const auto key = token_at(sequence, answer.position - 1);
        REQUIRE(keys.at(key) == 2);
        REQUIRE(token_at(sequence, answer.source() - 1) == key);
      }
      break;
    case ProbeTask::passkey: {
      REQUIRE(first.position == spec.length - 5);
      const auto asked = token_at(sequence, first.position - 1);
      REQUIRE(keys.size() == 4);
      for (const auto& [key, count] : keys) REQUIRE(count == (key == asked ? 2 : 1));
      REQUIRE(token_at(sequence, first.source() - 1) == asked);
      break;
    }
    case ProbeTask::copying:
      REQUIRE(occurrences(vocabulary.copy_marker()) == 2);
      REQUIRE(token_at(sequence, first.position - 1) == vocabulary.copy_marker());
      REQUIRE(token_at(sequence, first.source() - 1) == vocabulary.copy_marker());
      break;
    case ProbeTask::variable_tracking:
      REQUIRE(first.position == spec.length - 2);
      REQUIRE(occurrences(vocabulary.assignment_marker()) == 9);
      REQUIRE(occurrences(vocabulary.query_marker()) == 1);
      REQUIRE(token_at(sequence, first.position - 2) == vocabulary.query_marker());
      REQUIRE(keys.size() == 9);
      check_assignments(vocabulary, sequence);
      break;
  }
}

}  // namespace zebra::test
