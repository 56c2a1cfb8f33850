#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "config/names.h"
#include "data/distance_bands.h"
#include "data/probe_vocabulary.h"

namespace zebra {

/// Synthetic tasks that can be solved only by looking something up: what is asked for is told from
/// what else stands there by a key alone. K is a key, V a value; between stand fillers. `_` is a
/// blank behind a question, and the value that belongs there is a label: the model is asked for it
/// and never reads it.
///
///   associative_recall  K V  K V  K V … K _ … K V … K _: pairs, some of them asked for once, most
///                       of them never, pairs and questions mixed
///   passkey             K V … K V … K V … K _: one of the pairs is asked for at the end
///   copying             K V V V V … K V V V V … K _ _ _ _: one of the strings is asked for
///   variable_tracking   = A V … = B A … = C B … ? C _: assignments (marker, name, what it stands
///                       for); the last name of one of several chains is asked for at the end
///
/// Keys, names and values are drawn without replacement, so that no count tells the asked pair (see
/// key_blind.h for what a reader without keys can still guess). How many pairs lie between the
/// source of an answer and its question is drawn first, from none to as many as have room, and then
/// the distance.
enum class ProbeTask { associative_recall, passkey, copying, variable_tracking };

template <>
struct EnumNames<ProbeTask> {
  static constexpr NameTable<ProbeTask, 4> kTable{
      {{ProbeTask::associative_recall, "associative_recall"},
       {ProbeTask::passkey, "passkey"},
       {ProbeTask::copying, "copying"},
       {ProbeTask::variable_tracking, "variable_tracking"}}};
};

/// Counts up whenever the same arguments make other probes: results of different ones do not
/// compare, and what was trained on one is not asked by another. The first wrote answers into the
/// input.
inline constexpr int kProbeVersion = 2;

/// How hard a probe is besides its distances.
struct ProbeDifficulty {
  /// Pairs, strings or chains of which one is asked for, at least 2, as far as keys, values and
  /// room go; 0: as many as have room in associative recall, 8 pairs of a passkey, 4 strings, 4
  /// chains.
  std::int64_t pairs = 0;
  std::int64_t hops = 2;  ///< from the asked name to the one that has a value; at least 1
};

struct ProbeSpec {
  ProbeTask task;
  DistanceBands bands;
  std::int64_t length;         ///< tokens, BOS and EOS included
  std::int64_t questions = 0;  ///< of associative recall, half the pairs at most; 0: length / 8
  ProbeDifficulty difficulty = {};
};

/// What a task is asked with: each number of pairs and, where it has hops, each number of those; an
/// empty list stands for the default.
std::vector<ProbeDifficulty> difficulties_of(ProbeTask task, std::span<const std::int64_t> pairs,
                                             std::span<const std::int64_t> hops);

/// Tokens of the shortest sequence that has room for the task at each distance.
std::int64_t shortest_probe_length(ProbeTask task, std::int64_t hops = ProbeDifficulty{}.hops);

/// Adds what is wrong with the length or the difficulty, or does not fit so many keys: a task of
/// many hops takes many names.
void check_probe(ProbeTask task, std::int64_t length, const ProbeDifficulty& difficulty,
                 std::int64_t keys, Problems& problems);

/// The same of each task in each length and difficulty, each problem once.
void check_probes(std::span<const ProbeTask> tasks, std::span<const std::int64_t> lengths,
                  std::span<const std::int64_t> pairs, std::span<const std::int64_t> hops,
                  std::int64_t keys, Problems& problems);

/// The distances of answers in sequences of the spec's length. A band may hold none of them: see
/// DistanceBands::distances.
DistanceRange possible_distances(const ProbeSpec& spec);

/// Probes of the two splits come from random streams of their own, whatever their seeds.
enum class ProbeSplit { training, evaluation };

/// Which probe of the endless series of its task.
struct ProbeNumber {
  ProbeSplit split;
  std::uint64_t seed;
  std::uint64_t index;
};

struct ProbeAnswer {
  std::int64_t position;  ///< of the blank; the token before it predicts the answer
  std::int64_t distance;  ///< from the token that predicts it back to its source
  std::int32_t token;     ///< the answer

  /// Position of the earlier token that equals the answer.
  std::int64_t source() const { return position - 1 - distance; }
};

struct ProbeSequence {
  std::vector<std::int32_t> tokens;  ///< ProbeSpec::length of them: BOS, body, EOS; with blanks
  std::vector<ProbeAnswer> answers;  ///< in the order of their positions, at least one
};

/// The probe, a pure function of the arguments. Throws InputError when the length, the difficulty
/// or the bands are bad, or the vocabulary has too few keys. For each question a band is drawn
/// among those that are not empty at this length, each with the same probability; questions of
/// associative recall that find no room draw again in their band and, after many failures, are left
/// out.
ProbeSequence make_probe(const ProbeSpec& spec, const ProbeVocabulary& vocabulary,
                         const ProbeNumber& number);

}  // namespace zebra
