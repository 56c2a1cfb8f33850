#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/random.h"

namespace zebra {

/// A dataset as a mixture sees it: its whole samples, and its share of the mixture (weights are
/// relative to one another; they need not add up to 1).
struct MixtureSource {
  std::int64_t samples = 0;
  double weight = 0.0;
};

/// Where a mixture stands among those that a run reads one after the other.
struct MixtureSpan {
  std::uint64_t blocks_before = 0;              // of the others: no two blocks have the same order
  std::vector<std::int64_t> drawn_before = {};  // by the others, from each source; empty: nothing
  std::optional<std::uint64_t> samples = {};    // at least 1; none: it has no end
};

/// Sample number `sample` of source number `source`, drawn in that source's pass number `epoch`.
struct SampleLocation {
  std::int64_t source = 0;
  std::int64_t sample = 0;
  std::int64_t epoch = 0;
  bool operator==(const SampleLocation&) const = default;
};

/// The order in which a run sees the samples of a mixture: a function of the seed and the sample's
/// index in the mixture, not of ranks, workers, restarts or the order of calls.
///
/// After each block of 1,024 samples a source has been given its exact share so far, rounded down,
/// and the largest fractions get what is left over, so it is within one sample of its share (a
/// trifle more in rare mixtures with several tiny sources). A permutation orders the samples within
/// the block; another one, for each source and each of its epochs, the samples of the source, so
/// that an epoch of a source visits each of its samples once. The last block of a mixture that ends
/// is as long as what is left for it.
///
/// Needs memory for the sources only. Going forward costs some nanoseconds for each block skipped
/// and source; going back starts at the first block again. Not thread-safe.
class MixtureOrder {
 public:
  /// Throws InputError when no source has a weight above 0, a weight is negative or not finite, or
  /// a source with a weight above 0 has no whole sample.
  MixtureOrder(std::uint64_t seed, std::vector<MixtureSource> sources, MixtureSpan span = {});

  /// `index` is below the samples of a mixture that ends.
  SampleLocation at(std::uint64_t index);

  /// Where the mixture that follows this one, which must end, stands.
  MixtureSpan span_behind();

 private:
  void move_to(std::uint64_t block);
  void apportion();
  std::uint64_t samples_in_block() const;

  /// Keeps to the sources with a weight above 0.
  struct ActiveSource {
    std::int64_t index = 0;  // in the list given to the constructor
    std::int64_t samples = 0;
    double share = 0.0;       // of all samples, in (0, 1]
    std::int64_t before = 0;  // samples drawn before this mixture
    std::int64_t given = 0;   // samples before the current block
    std::int64_t count = 0;   // samples within the current block
    double shortfall = 0.0;   // exact share up to the end of the block, less given and count
  };

  std::uint64_t seed_;
  MixtureSpan span_;
  std::vector<ActiveSource> sources_;
  std::vector<std::size_t> by_shortfall_;
  std::uint64_t block_ = 0;
  Permutation order_in_block_;
};

/// The weights of a mixture from the numbers of tokens of its sources: as given, or, when none is
/// given, proportional to the tokens. Throws InputError when some sources have a weight and others
/// have none: the two have no common measure.
std::vector<double> mixture_weights(const std::vector<std::int64_t>& tokens,
                                    const std::vector<std::optional<double>>& weights);

}  // namespace zebra
