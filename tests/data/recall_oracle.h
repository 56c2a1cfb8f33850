#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "data/recall_probes.h"

// Readers of recall probes that know the formats and see the last tokens only.

namespace zebra::test {

using Visible = std::span<const std::int32_t>;

/// Follows assignments from the name that ends `visible` to a value.
inline std::optional<std::int32_t> follow_chain(const ProbeVocabulary& vocabulary,
                                                Visible visible) {
  auto name = visible.back();
  while (!vocabulary.is_value(name)) {
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

/// The token `number + 1` behind the earlier occurrence of the key that asks: `number` blanks stand
/// behind it by now.
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

}  // namespace zebra::test
