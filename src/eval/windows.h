#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "data/batch.h"
#include "data/training_data.h"

namespace zebra {

/// Consecutive windows of one dataset, `length` inputs each with stride `length`: each token but
/// the first is predicted once.
struct DatasetWindows {
  std::vector<Window> whole;
  std::optional<std::pair<Window, std::int64_t>> partial;  ///< the last one and its inputs

  std::int64_t tokens(std::int64_t length) const {  ///< predicted ones
    return static_cast<std::int64_t>(whole.size()) * length + (partial ? partial->second : 0);
  }
};

/// Cuts the first `max_tokens` predicted tokens (0: all) of the datasets one after another; no
/// window reaches across two of them. The one that the limit cuts off gives whole windows only.
std::vector<DatasetWindows> cut_into_windows(const TokenDatasets& datasets, std::int64_t length,
                                             std::int64_t max_tokens);

/// Sequences of one length for one forward pass without a gradient: enough for full speed, few
/// enough to take little memory.
std::int64_t rows_of_batch(std::int64_t length);

/// Windows of one length for one forward pass without a gradient.
struct WindowBatch {
  std::span<const Window> windows;
  std::int64_t length;
};

/// In order, rows_of_batch at a time. The batches refer to `windows`.
std::vector<WindowBatch> batches_of(std::span<const Window> windows, std::int64_t length);

}  // namespace zebra
