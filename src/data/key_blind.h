#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/recall_probes.h"

namespace zebra {

// What a reader can guess of a probe without ever reading a key, a name or a marker. A recall is
// shown only where a model is right more often than the best of these strategies on the very same
// answers.

/// The names of the strategies, in the order of the bits of key_blind_hits():
///
/// - newest, 2nd … 8th newest: of the pairs (strings, values of chains) in sight, by recency.
/// - oldest, 2nd … 4th oldest.
/// - any: one of them at random.
/// - out of reach: one of those that the reach of the bands' local layers does not show.
/// - most frequent, least frequent: value in sight, the newest and the oldest of several.
/// - odd count: the newest value that occurred an odd number of times.
/// - out of own reach: one of those that the reader's own local layers do not show.
const std::vector<std::string>& key_blind_strategies();

/// Which of the strategies are right about each answer of the sequence: bit k of an answer's number
/// is strategy k. A strategy that picks at random does so once for each question, by the number.
/// `own_reach` is how far the local layers of the model in question reach, in tokens: what that
/// tells of may be far from the bands', where models of several windows are asked the same.
std::vector<std::uint32_t> key_blind_hits(const ProbeSpec& spec, const ProbeVocabulary& vocabulary,
                                          const ProbeSequence& sequence, std::uint64_t number,
                                          std::int64_t own_reach);

}  // namespace zebra
