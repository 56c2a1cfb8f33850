#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>

#include "data/token_dataset.h"
#include "ops/attention_inputs.h"

namespace zebra {

/// `length` inputs and, shifted by one, their targets: tokens [begin, begin + length] of a dataset.
struct Window {
  const TokenDataset* dataset;
  std::int64_t begin;
};

/// What the model reads and what it shall predict, for B windows of T tokens.
struct Batch {
  torch::Tensor tokens;   ///< [B, T] int64
  torch::Tensor targets;  ///< [B, T] int64, kIgnoredTarget where a target does not count
  PackedDocuments
      documents;  ///< packed when document_mask is on and a document begins inside a window
  std::int64_t counted_targets = 0;

  Batch to(torch::Device device) const;
};

/// Reads the windows. With `document_mask` documents do not see each other and a target across a
/// boundary does not count; a dataset's loss mask is applied in any case. `pinned` puts the tensors
/// into page-locked memory for a GPU.
Batch make_batch(std::span<const Window> windows, std::int64_t length, bool document_mask,
                 bool pinned);

/// How many targets of the window count: make_batch's counted_targets without reading tokens.
std::int64_t count_targets(const Window& window, std::int64_t length, bool document_mask);

}  // namespace zebra
