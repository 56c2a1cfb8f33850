#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "config/config.h"

// Which sources a training reads at which step: those of data.stages, then those of data.train.

namespace zebra {

/// Steps in a row that read one list of sources.
struct TrainingStage {
  std::int64_t first_step = 1;
  std::optional<std::int64_t> last_step;  ///< none: it has no end
  std::vector<TrainingSource> train;
  std::vector<std::size_t> numbers;  ///< of these among training_sources

  /// How many of its steps a training of `max_steps` takes.
  std::int64_t steps_of(std::int64_t max_steps) const;
};

/// All sources of a run: those of data.stages and data.train in the order of their first use, by
/// which they are counted. One that several lists name is one source; one that a list names twice
/// is two.
std::vector<DataSource> training_sources(const DataSection& data);

/// The stages in order, without those to which rounding leaves no step; the last is data.train.
std::vector<TrainingStage> training_stages(const DataSection& data, std::int64_t max_steps);

}  // namespace zebra
