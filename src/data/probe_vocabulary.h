#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "data/tokenizer.h"

namespace zebra {

/// How many of a tokenizer's tokens play which part in recall probes.
struct ProbeVocabularySizes {
  std::int64_t keys = 32;    ///< at least kFewestProbeKeys
  std::int64_t values = 32;  ///< at least kFewestProbeValues
  std::int64_t fillers = 0;  ///< 0: all that are left; few make what matters easier to tell apart
};

/// Three chains of three names.
inline constexpr std::int64_t kFewestProbeKeys = 9;

/// Two strings of four.
inline constexpr std::int64_t kFewestProbeValues = 8;

/// Adds what is wrong with the sizes, whatever the tokenizer.
void check_probe_vocabulary_sizes(const ProbeVocabularySizes& sizes, Problems& problems);

/// The tokens of recall probes in disjoint sets: keys, which ask; values, which answer; markers;
/// fillers, by default all others. They are ordinary tokens, in an order that is shuffled by a
/// permutation of the whole vocabulary which depends on its size only: probes of one tokenizer
/// agree wherever they are made with the same sizes. Tokens of one byte are taken only where there
/// are too few others.
class ProbeVocabulary {
 public:
  /// Throws InputError when the sizes are bad or the tokenizer has too few ordinary tokens.
  explicit ProbeVocabulary(const Tokenizer& tokenizer, ProbeVocabularySizes sizes = {});

  std::span<const std::int32_t> keys() const { return keys_; }
  std::span<const std::int32_t> values() const { return values_; }
  std::span<const std::int32_t> fillers() const { return fillers_; }
  std::int32_t blank() const { return markers_[0]; }  ///< stands where an answer is asked for
  std::int32_t assignment_marker() const { return markers_[1]; }
  std::int32_t query_marker() const { return markers_[2]; }
  std::int32_t bos() const { return bos_; }
  std::int32_t eos() const { return eos_; }

  bool is_value(std::int32_t token) const { return is_value_[static_cast<std::size_t>(token)]; }

  /// Share of right answers of a guess among the values, the same for each answer of each task.
  double chance() const { return 1.0 / static_cast<double>(values_.size()); }

 private:
  std::vector<std::int32_t> keys_, values_, markers_, fillers_;
  std::vector<bool> is_value_;  // by id
  std::int32_t bos_, eos_;
};

}  // namespace zebra
