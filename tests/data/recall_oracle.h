#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "data/recall_probes.h"

// Readers of recall probes that know the formats and see the last tokens only.

namespace zebra::test {

using Visible = std::span<const std::int32_t>;

/// Follows assignments from the name that ends `visible` to a value.
inline std::optional<std::int32_t> follow_chain(const ProbeVocabulary& vocabulary,
                                                Visible visible) {
  auto name = visible.back();
  while (std::ranges::find(vocabulary.values(), name) == vocabulary.values().end()) {
    std::optional<std::int32_t> meaning;
    for (std::size_t i = 0; i + 2 < visible.size(); ++i) {
      if (visible[i] == vocabulary.assignment_marker() && visible[i + 1] == name) {
        meaning = visible[i + 2];
      }
    }
    if (!meaning) return std::nullopt;
    name = *meaning;
  }
  return name;
}

/// The token `number + 1` behind an earlier occurrence of the one that stands `number` before the
/// end of `visible`.
inline std::optional<std::int32_t> look_up(Visible visible, std::size_t number) {
  if (number >= visible.size()) return std::nullopt;
  const auto cue = visible.size() - 1 - number;
  for (std::size_t i = 0; i < cue; ++i) {
    if (visible[i] == visible[cue]) return visible[i + 1 + number];
  }
  return std::nullopt;
}

/// The answer that follows `visible`, or nothing when it cannot be told. `number` counts the
/// answers to the same question before.
inline std::optional<std::int32_t> read_answer(ProbeTask task, const ProbeVocabulary& vocabulary,
                                               Visible visible, std::size_t number) {
  if (task == ProbeTask::variable_tracking) return follow_chain(vocabulary, visible);
  return look_up(visible, number);
}

/// Guesses at an answer from the values in sight: a fixed one, the most and the least frequent, the
/// first and the last.
inline std::array<std::int32_t, 5> guesses(const ProbeVocabulary& vocabulary, Visible visible) {
  const auto values = vocabulary.values();
  std::vector<std::int32_t> seen;
  for (const auto token : visible) {
    if (std::ranges::find(values, token) != values.end()) seen.push_back(token);
  }
  const auto rarer = [&seen](std::int32_t a, std::int32_t b) {
    return std::ranges::count(seen, a) < std::ranges::count(seen, b);
  };
  return {values[0], std::ranges::max(values, rarer), std::ranges::min(values, rarer),
          seen.empty() ? values[0] : seen.front(), seen.empty() ? values[0] : seen.back()};
}

}  // namespace zebra::test
