#include "config/data_stages.h"

#include <algorithm>
#include <filesystem>

namespace zebra {
namespace {

/// Numbers of the sources of `train` among `all`, to which those that are new are added.
std::vector<std::size_t> numbers_among(std::vector<DataSource>& all,
                                       const std::vector<TrainingSource>& train) {
  std::vector<std::size_t> numbers;
  const auto is_taken = [&](std::size_t number) {
    return std::ranges::find(numbers, number) != numbers.end();
  };
  for (const auto& source : train) {
    std::size_t number = 0;
    while (number < all.size() && (all[number].path != source.path || is_taken(number))) ++number;
    if (number == all.size()) all.push_back({source.path, std::nullopt});
    numbers.push_back(number);
  }
  return numbers;
}

}  // namespace

std::int64_t TrainingStage::steps_of(std::int64_t max_steps) const {
  const auto last = std::min(last_step.value_or(max_steps), max_steps);
  return std::max<std::int64_t>(0, last - first_step + 1);
}

std::vector<DataSource> training_sources(const DataSection& data) {
  std::vector<DataSource> all;
  for (const auto& stage : data.stages) numbers_among(all, stage.train);
  numbers_among(all, data.train);
  return all;
}

std::vector<TrainingStage> training_stages(const DataSection& data, std::int64_t max_steps) {
  std::vector<TrainingStage> stages;
  std::vector<DataSource> all;
  std::int64_t first_step = 1;
  for (const auto& stage : data.stages) {
    const auto last_step = stage.until.step_of(max_steps);
    auto numbers = numbers_among(all, stage.train);
    if (last_step < first_step) continue;
    stages.push_back({first_step, last_step, stage.train, std::move(numbers)});
    first_step = last_step + 1;
  }
  stages.push_back({first_step, std::nullopt, data.train, numbers_among(all, data.train)});
  return stages;
}

}  // namespace zebra
