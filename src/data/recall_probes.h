#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "config/names.h"
#include "data/distance_bands.h"
#include "data/tokenizer.h"

namespace zebra {

/// How many of a tokenizer's tokens play which part in recall probes.
struct ProbeVocabularySizes {
  std::int64_t keys = 32;    ///< at least kFewestProbeKeys
  std::int64_t values = 32;  ///< at least 2
  std::int64_t fillers = 0;  ///< 0: all that are left; few make what matters easier to tell apart
};

/// Three chains of variable tracking, three names each.
inline constexpr std::int64_t kFewestProbeKeys = 9;

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
  std::int32_t copy_marker() const { return markers_[0]; }
  std::int32_t assignment_marker() const { return markers_[1]; }
  std::int32_t query_marker() const { return markers_[2]; }
  std::int32_t bos() const { return bos_; }
  std::int32_t eos() const { return eos_; }

  /// Whether a token of natural text may stay in a probe: it is text, and neither key nor marker,
  /// so that what is asked for occurs only where the probe put it.
  bool may_fill(std::int32_t token) const;

  /// Share of right answers of a guess among the values, the same for each answer of each task.
  double chance() const { return 1.0 / static_cast<double>(values_.size()); }

 private:
  std::vector<std::int32_t> keys_, values_, markers_, fillers_;
  std::vector<bool> may_fill_;  // by id
  std::int32_t bos_, eos_;
};

/// Synthetic tasks that ask for a token seen before. K is a key, V a value, | separates what stands
/// apart, with fillers between; the tokens in brackets are the answers.
///
///   associative_recall  K V | K V | … K [V] | K [V]: pairs of distinct keys, each asked for once,
///                       pairs and questions mixed (see ProbeSpec::questions)
///   passkey             K V V V V | … K [V V V V]: four needles, one asked for at the end
///   copying             M V V V V V V V V | M [V V V V V V V V]: a string behind a marker, twice
///   variable_tracking   = A V | = B A | = C B | ? C [V]: assignments (marker, name, what it
///                       stands for), the last name of one of three chains asked for at the end
///
/// The values are drawn independently, so that those in sight tell nothing about one out of sight.
/// What tells the source from other values stands 1 to 8 tokens before it: at the very last
/// distances of the relay band local layers reach the source but not that.
enum class ProbeTask { associative_recall, passkey, copying, variable_tracking };

template <>
struct EnumNames<ProbeTask> {
  static constexpr NameTable<ProbeTask, 4> kTable{
      {{ProbeTask::associative_recall, "associative_recall"},
       {ProbeTask::passkey, "passkey"},
       {ProbeTask::copying, "copying"},
       {ProbeTask::variable_tracking, "variable_tracking"}}};
};

struct ProbeSpec {
  ProbeTask task;
  DistanceBands bands;
  std::int64_t length;         ///< tokens, BOS and EOS included
  std::int64_t questions = 0;  ///< of associative recall, as far as the keys go; 0: length / 8
};

/// Tokens of the shortest sequence that has room for the task at each distance.
std::int64_t shortest_probe_length(ProbeTask task);

/// Adds what is wrong with the length.
void check_probe_length(ProbeTask task, std::int64_t length, Problems& problems);

/// The distances of answers in sequences of that length. A band may hold none of them: see
/// DistanceBands::distances.
DistanceRange possible_distances(ProbeTask task, std::int64_t length);

/// Probes of the two splits come from random streams of their own, whatever their seeds.
enum class ProbeSplit { training, evaluation };

/// Which probe of the endless series of its task.
struct ProbeNumber {
  ProbeSplit split;
  std::uint64_t seed;
  std::uint64_t index;
};

struct ProbeAnswer {
  std::int64_t position;  ///< of the answer in the sequence; the token before it predicts it
  std::int64_t distance;  ///< from the token that predicts it back to its source

  /// Position of the earlier token that equals the answer.
  std::int64_t source() const { return position - 1 - distance; }
};

struct ProbeSequence {
  std::vector<std::int32_t> tokens;  ///< ProbeSpec::length of them: BOS, body, EOS
  std::vector<ProbeAnswer> answers;  ///< in the order of their positions, at least one
};

/// The probe, a pure function of the arguments. Throws InputError when the length or the bands are
/// bad. For each answer of associative recall, and for all
/// answers of another task's sequence together, a band is drawn among those that are not empty at
/// this length, each with the same probability, and then a distance in the band, uniformly but for
/// questions of associative recall that find no room: those draw again in their band and, after
/// many failures, are left out.
///
/// What the task leaves free is filled with random fillers or, where `text` is given, with its
/// tokens in order, from its beginning again at its end; those that may not fill (see
/// ProbeVocabulary::may_fill) give way to random fillers.
ProbeSequence make_probe(const ProbeSpec& spec, const ProbeVocabulary& vocabulary,
                         const ProbeNumber& number, std::span<const std::int32_t> text = {});

}  // namespace zebra
