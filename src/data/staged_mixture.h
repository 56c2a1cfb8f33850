#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "data/mixture.h"

namespace zebra {

/// Samples in a row that are drawn with one set of weights.
struct MixtureStage {
  std::optional<std::uint64_t> samples;  // at least 1; none, in the last stage: all that follow
  std::vector<double> weights;           // of all sources, 0 for one that has no part
};

/// The order of a run whose mixture changes by stages: each stage is a MixtureOrder, and a source
/// that several have goes on in a later one where it stood, so that an epoch of it still visits
/// each of its samples once. A function of the seed and the global sample index.
///
/// Construction costs some nanoseconds for each 1,024 samples before the last stage and source; the
/// rest is as MixtureOrder has it. Not thread-safe.
class StagedMixture {
 public:
  /// `samples` has the whole samples of each source. Throws the InputError of MixtureOrder.
  StagedMixture(std::uint64_t seed, const std::vector<std::int64_t>& samples,
                const std::vector<MixtureStage>& stages);

  SampleLocation at(std::uint64_t global_index);

 private:
  struct Part {
    std::uint64_t begin;  // global index of its first sample
    MixtureOrder order;
  };

  std::vector<Part> parts_;
};

}  // namespace zebra
