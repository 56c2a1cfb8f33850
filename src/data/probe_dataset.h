#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/recall_probes.h"

namespace zebra {

struct ProbeDatasetOptions {
  std::filesystem::path tokenizer;
  std::filesystem::path output;
  std::int64_t length = 0;  ///< tokens of a sequence, BOS and EOS included
  DistanceBands bands = {0, 0};
  std::int64_t sequences = 0;    ///< at least 2
  std::vector<ProbeTask> tasks;  ///< taken in turn; one that is named twice gets two turns
  std::uint64_t seed = 0;
  ProbeVocabularySizes vocabulary = {};
  std::int64_t questions = 0;  ///< see ProbeSpec
  std::vector<std::int64_t> pairs = {},
                            hops = {};  ///< see difficulties_of; a task has them in turn
  bool overwrite = false;
};

struct ProbeDatasetReport {
  std::int64_t sequences = 0;
  std::int64_t tokens = 0;
  std::array<std::int64_t, kDistanceBands> answers = {};  ///< by DistanceBand
  std::string fingerprint;
};

/// Writes a token dataset of training probes for a model of these bands: sequence i, a document of
/// its own, is probe i of the task whose turn it is. Only the answers count as targets, and they
/// are labels only: a model reads blanks in their place. A run whose data.sequence_length is
/// `length` has sequence i as its sample i, but for the last one: a sample needs the token that
/// follows it.
///
/// Throws one InputError for all that is wrong with the options, RunError when the output cannot be
/// written; then no output is left.
ProbeDatasetReport write_probe_dataset(const ProbeDatasetOptions& options);

}  // namespace zebra
