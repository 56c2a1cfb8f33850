#include "eval/evaluation_samples.h"

#include <algorithm>
#include <map>

#include "base/error.h"

namespace zebra {
namespace {

constexpr std::int64_t kBatchTokens = 8192;

std::string folder_name(const std::filesystem::path& path) {
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

// In the order of their paths, without samples yet.
std::vector<DatasetSamples> in_order(const TokenDatasets& datasets) {
  std::map<std::string, int> folders;
  for (const auto& dataset : datasets) ++folders[folder_name(dataset->path())];
  std::vector<DatasetSamples> samples;
  for (std::size_t i = 0; i < datasets.size(); ++i) {
    const auto& path = datasets[i]->path();
    const auto name = folder_name(path);
    samples.push_back({datasets[i].get(), i, folders[name] > 1 ? path.string() : name, {}, {}});
  }
  std::ranges::stable_sort(samples, {},
                           [](const DatasetSamples& of) { return of.dataset->path(); });
  return samples;
}

std::int64_t predictable(const TokenDataset& dataset) { return dataset.tokens() - 1; }

void add_whole(DatasetSamples& samples, std::int64_t length, std::int64_t tokens) {
  for (std::int64_t begin = 0; begin + length <= tokens; begin += length)
    samples.whole.push_back({samples.dataset, begin});
}

void add_all(DatasetSamples& samples, std::int64_t length) {
  add_whole(samples, length, predictable(*samples.dataset));
  const auto rest = predictable(*samples.dataset) % length;
  if (rest > 0)
    samples.partial = {Sample{samples.dataset, predictable(*samples.dataset) - rest}, rest};
}

}  // namespace

std::vector<DatasetSamples> cut_into_samples(const TokenDatasets& datasets, std::int64_t length,
                                             std::int64_t max_tokens) {
  auto cut = in_order(datasets);
  std::vector<DatasetSamples*> smallest_first;
  for (auto& samples : cut) smallest_first.push_back(&samples);
  std::ranges::stable_sort(smallest_first, {},
                           [](const auto* samples) { return predictable(*samples->dataset); });

  Problems problems;
  auto left = max_tokens;
  auto sharing = static_cast<std::int64_t>(cut.size());
  for (auto* samples : smallest_first) {
    const auto share = left / sharing;
    if (max_tokens == 0 || predictable(*samples->dataset) <= share) {
      add_all(*samples, length);
    } else {
      add_whole(*samples, length, share);
      if (samples->whole.empty()) {
        problems.add(samples->dataset->path().string() + ": its share of " +
                     std::to_string(max_tokens) + " evaluation tokens, " + std::to_string(share) +
                     ", is less than one window of " + std::to_string(length) +
                     "; evaluate on at least " +
                     std::to_string(length * static_cast<std::int64_t>(cut.size())) +
                     " tokens (eval.max_tokens, --max-tokens) or with a shorter length");
      }
    }
    left -= std::min(share, samples->tokens(length));
    --sharing;
  }
  problems.throw_if_any();
  return cut;
}

std::int64_t rows_of_batch(std::int64_t length) {
  return std::max<std::int64_t>(1, kBatchTokens / length);
}

std::vector<SampleBatch> batches_of(std::span<const Sample> samples, std::int64_t length) {
  const auto rows = static_cast<std::size_t>(rows_of_batch(length));
  std::vector<SampleBatch> batches;
  for (std::size_t i = 0; i < samples.size(); i += rows)
    batches.push_back({samples.subspan(i, std::min(rows, samples.size() - i)), length});
  return batches;
}

}  // namespace zebra
