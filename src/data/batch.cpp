#include "data/batch.h"

#include <algorithm>
#include <vector>

#include "ops/vocabulary.h"

namespace zebra {

namespace {

// Sets counts[t] to whether target t counts. Returns where documents begin inside the window, from
// its own beginning, when they are to be kept apart.
std::vector<std::int64_t> mark_targets(const Window& window, std::int64_t length,
                                       bool document_mask, std::vector<std::uint8_t>& counts) {
  window.dataset->copy_loss_mask(window.begin + 1, counts);
  std::vector<std::int64_t> starts;
  if (!document_mask) return starts;
  for (const auto position :
       window.dataset->document_starts(window.begin, window.begin + length + 1)) {
    const auto start = position - window.begin;
    counts[static_cast<std::size_t>(start - 1)] = 0;
    if (start < length) starts.push_back(start);
  }
  return starts;
}

}  // namespace

std::int64_t count_targets(const Window& window, std::int64_t length, bool document_mask) {
  std::vector<std::uint8_t> counts(static_cast<std::size_t>(length));
  mark_targets(window, length, document_mask, counts);
  return std::count_if(counts.begin(), counts.end(), [](std::uint8_t count) { return count != 0; });
}

Batch Batch::to(torch::Device device) const {
  return {tokens.to(device, /*non_blocking=*/true), targets.to(device, /*non_blocking=*/true),
          documents.to(device), counted_targets};
}

Batch make_batch(std::span<const Window> windows, std::int64_t length, bool document_mask,
                 bool pinned) {
  const auto count = static_cast<std::int64_t>(windows.size());
  Batch batch;
  batch.tokens = torch::empty({count, length}, torch::kInt64);
  batch.targets = torch::empty({count, length}, torch::kInt64);
  auto* tokens = batch.tokens.mutable_data_ptr<std::int64_t>();
  auto* targets = batch.targets.mutable_data_ptr<std::int64_t>();

  const auto size = static_cast<std::size_t>(length);
  std::vector<std::int32_t> ids(size + 1);
  std::vector<std::uint8_t> counts(size);
  std::vector<std::vector<std::int64_t>> starts;
  bool any_start = false;
  for (const auto& window : windows) {
    window.dataset->copy_tokens(window.begin, ids);
    starts.push_back(mark_targets(window, length, document_mask, counts));
    any_start = any_start || !starts.back().empty();
    for (std::size_t t = 0; t < size; ++t) {
      tokens[t] = ids[t];
      targets[t] = counts[t] != 0 ? ids[t + 1] : kIgnoredTarget;
      batch.counted_targets += counts[t] != 0;
    }
    tokens += length;
    targets += length;
  }
  if (any_start) batch.documents = PackedDocuments::from_starts(starts, length);
  if (pinned) {
    batch.tokens = batch.tokens.pin_memory();
    batch.targets = batch.targets.pin_memory();
    if (any_start) batch.documents.first_token = batch.documents.first_token.pin_memory();
  }
  return batch;
}

}  // namespace zebra
