#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "config/names.h"
#include "data/distance_bands.h"
#include "data/probe_vocabulary.h"

namespace zebra {

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
