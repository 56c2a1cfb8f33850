#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/names.h"
#include "data/token_dataset.h"

namespace zebra {

/// Of one document the tokens [begin, begin + inputs] of a dataset: the first `inputs` of them are
/// read, and the last `inputs` predicted.
struct DocumentPart {
  std::int64_t begin = 0, inputs = 0;
  bool operator==(const DocumentPart&) const = default;
};

struct SamplePlanOptions {
  std::int64_t length = 0;  ///< inputs of a sample
  Overflow overflow = Overflow::error;
  std::uint64_t seed = 0;
};

/// What became of the documents of a dataset.
struct SamplePlanCounts {
  std::int64_t documents = 0;  ///< that have a place, whole or in parts
  std::int64_t too_long = 0;   ///< that do not fit into a sample
  std::int64_t one_token = 0;  ///< left out: nothing in them is predicted
  std::int64_t padding = 0;    ///< inputs of all samples that no document takes
};

/// Which documents make up which sample of a dataset (data.packing: whole). A document of n tokens
/// takes n - 1 inputs, since nothing follows its last token. Longest first, each goes where it
/// leaves least room (best fit decreasing); documents of one length take turns in an order that the
/// seed decides. So a plan is a function of the documents' lengths and the options: of no epoch, no
/// rank, and no order of calls.
///
/// With Overflow::split a document that is too long is cut into parts of `length` inputs, each a
/// sample of its own, and a rest; every token but the document's first is predicted once.
///
/// Needs 16 bytes for each document, twice as many while planning.
class SamplePlan {
 public:
  /// `document_offsets` as TokenDataset has them. With Overflow::error throws InputError when a
  /// document is too long; `name` stands for the dataset there.
  SamplePlan(std::span<const std::uint64_t> document_offsets, const SamplePlanOptions& options,
             const std::string& name);

  std::int64_t samples() const { return static_cast<std::int64_t>(begins_.size()) - 1; }

  /// The parts of a sample, the longest first. Takes constant time.
  std::span<const DocumentPart> parts(std::int64_t sample) const;

  const SamplePlanCounts& counts() const { return counts_; }

  /// Writes the plan into `folder`, where open_sample_plan finds it. Throws RunError.
  void store(const std::filesystem::path& folder, const TokenDataset& dataset,
             const SamplePlanOptions& options) const;

 private:
  friend SamplePlan open_sample_plan(const std::filesystem::path& folder,
                                     const TokenDataset& dataset, const SamplePlanOptions& options);
  SamplePlan() = default;
  bool read(const std::filesystem::path& file, const std::string& key);

  std::vector<std::uint64_t> begins_;  // of each sample in parts_, and at last their number
  std::vector<DocumentPart> parts_;
  SamplePlanCounts counts_;
};

/// The plan that is stored in `folder` for such a dataset and options, or one made anew where there
/// is none or it is damaged. Throws like SamplePlan.
SamplePlan open_sample_plan(const std::filesystem::path& folder, const TokenDataset& dataset,
                            const SamplePlanOptions& options);

}  // namespace zebra
