#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>

#include "config/names.h"
#include "data/sample_plan.h"
#include "data/token_dataset.h"
#include "ops/attention_inputs.h"
#include "ops/context_exchange.h"

namespace zebra {

/// `length` inputs and, shifted by one, their targets: tokens [begin, begin + length] of a dataset,
/// or parts of documents, one behind the other from the sample's start on; what they leave is
/// padding.
struct Sample {
  const TokenDataset* dataset;
  std::int64_t begin;        ///< of no meaning where there are parts
  float loss_weight = 1.0F;  ///< of its targets, see LossWeighting
  std::span<const DocumentPart> parts = {};
};

/// What the model reads and what it shall predict, for B samples of T tokens.
struct Batch {
  torch::Tensor tokens;          ///< [B, T] int64
  torch::Tensor targets;         ///< [B, T] int64, kIgnoredTarget where a target does not count
  torch::Tensor target_weights;  ///< [B, T] float32; undefined where all are 1
  PackedDocuments
      documents;  ///< packed when document_mask is on and a document begins inside a sample
  std::int64_t counted_targets = 0;

  // Where ranks share the samples, all of it is of this rank's tokens alone (ContextShare), and of
  // the documents first_token, counted in the whole sample, is all there is.

  Batch to(torch::Device device) const;
};

/// Reads the samples. With `document_mask` documents do not see each other and a target across a
/// boundary does not count; a dataset's loss mask is applied in any case. Padding is a document of
/// its own without targets. `pinned` puts the tensors into page-locked memory for a GPU.
///
/// A target's weight is the sample's loss_weight; with LossWeighting::sequence that divided by the
/// number of counted targets of its sequence: of what can see each other, a document's part of the
/// sample or without `document_mask` the whole sample.
///
/// Of samples that ranks share only the tokens of `share` are read.
Batch make_batch(std::span<const Sample> samples, std::int64_t length, bool document_mask,
                 bool pinned, LossWeighting weighting = LossWeighting::token,
                 ContextShare share = {});

/// What counts in a sample.
struct TargetCount {
  std::int64_t targets = 0;
  std::int64_t sequences = 0;  ///< with a target that counts

  std::int64_t weighed_by(LossWeighting weighting) const {
    return weighting == LossWeighting::sequence ? sequences : targets;
  }
  TargetCount& operator+=(const TargetCount& other) {
    targets += other.targets;
    sequences += other.sequences;
    return *this;
  }
};

/// As make_batch counts them, without reading tokens.
TargetCount count_targets(const Sample& sample, std::int64_t length, bool document_mask);

}  // namespace zebra
