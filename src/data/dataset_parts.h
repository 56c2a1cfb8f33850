#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "data/token_dataset_format.h"

namespace zebra {

// Token datasets made of others without a copy of their tokens: they name the files that hold them,
// which must stay. Nothing is left on a failure, except that of two outputs the first may be there
// when putting the second in place fails.

struct MergeOptions {
  std::vector<std::filesystem::path> datasets;  // in order; at least one
  std::filesystem::path output;
  bool overwrite = false;
};

/// All documents of the datasets, one dataset after the other. They must be of one tokenizer, and
/// their labels be read alike. Throws one InputError for all that does not fit, and RunError when
/// the output cannot be written.
TokenDatasetDescription merge_datasets(const MergeOptions& options);

struct SplitOptions {
  std::filesystem::path dataset;
  std::filesystem::path output;
  std::filesystem::path holdout_output;
  double holdout = 0.0;  // share of the tokens, in (0, 1)
  bool overwrite = false;
};

struct SplitReport {
  TokenDatasetDescription dataset, holdout;
};

/// The documents of a dataset, the last ones into an output of their own: those with about that
/// share of the tokens, at least one and not all. Bytes of text are divided as tokens are. Throws
/// like merge_datasets.
SplitReport split_dataset(const SplitOptions& options);

}  // namespace zebra
