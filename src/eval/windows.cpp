#include "eval/windows.h"

#include <algorithm>
#include <limits>

namespace zebra {
namespace {

constexpr std::int64_t kBatchTokens = 8192;

DatasetWindows cut_dataset(const TokenDataset& dataset, std::int64_t length,
                           std::int64_t max_tokens) {
  const std::int64_t predictable = dataset.tokens() - 1;
  const bool limited = max_tokens < predictable;
  const std::int64_t whole = (limited ? max_tokens : predictable) / length;
  DatasetWindows windows;
  for (std::int64_t i = 0; i < whole; ++i) windows.whole.push_back({&dataset, i * length});
  const std::int64_t rest = predictable - whole * length;
  if (!limited && rest > 0) windows.partial = {Window{&dataset, whole * length}, rest};
  return windows;
}

}  // namespace

std::vector<DatasetWindows> cut_into_windows(const TokenDatasets& datasets, std::int64_t length,
                                             std::int64_t max_tokens) {
  std::int64_t left = max_tokens > 0 ? max_tokens : std::numeric_limits<std::int64_t>::max();
  std::vector<DatasetWindows> cut;
  for (const auto& dataset : datasets) {
    cut.push_back(cut_dataset(*dataset, length, left));
    left -= cut.back().tokens(length);
  }
  return cut;
}

std::int64_t rows_of_batch(std::int64_t length) {
  return std::max<std::int64_t>(1, kBatchTokens / length);
}

std::vector<WindowBatch> batches_of(std::span<const Window> windows, std::int64_t length) {
  const auto rows = static_cast<std::size_t>(rows_of_batch(length));
  std::vector<WindowBatch> batches;
  for (std::size_t i = 0; i < windows.size(); i += rows)
    batches.push_back({windows.subspan(i, std::min(rows, windows.size() - i)), length});
  return batches;
}

}  // namespace zebra
