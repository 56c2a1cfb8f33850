#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/random.h"
#include "data/recall_probes.h"

namespace zebra {

/// Random choices, numbered in the order in which one probe makes them.
class RandomChoices {
 public:
  explicit RandomChoices(RandomStream stream) : stream_(stream) {}

  /// Uniform in first … last; last is at least first.
  std::int64_t between(std::int64_t first, std::int64_t last);

  /// Uniform among the candidates, of which there is at least one.
  template <class T>
  T one_of(std::span<const T> candidates) {
    return candidates[static_cast<std::size_t>(between(0, std::ssize(candidates) - 1))];
  }

  /// `count` candidates, each at most once, in random order; there are at least as many.
  std::vector<std::int32_t> distinct(std::span<const std::int32_t> candidates, std::int64_t count);

  /// Where `count` runs of `size` slots begin that do not overlap, in order, in [begin, end), which
  /// has room for them: each way is as likely.
  std::vector<std::int64_t> spread(std::int64_t begin, std::int64_t end, std::int64_t count,
                                   std::int64_t size);

 private:
  RandomStream stream_;
  std::uint64_t next_ = 0;
};

/// A probe in the making: BOS, slots that are free until a task takes them, EOS. Keeps references
/// to the spec and the vocabulary.
class ProbeDraft {
 public:
  ProbeDraft(const ProbeSpec& spec, const ProbeVocabulary& vocabulary, RandomStream stream);

  const ProbeSpec& spec() const { return spec_; }
  const ProbeVocabulary& vocabulary() const { return vocabulary_; }
  RandomChoices& choices() { return choices_; }

  /// One of the bands that are not empty for this task and length.
  DistanceBand draw_band();

  /// The distance of an answer and how many others shall lie between its source and the question.
  struct Placement {
    std::int64_t others, distance;
  };

  /// Uniform in what a band that is not empty allows: first the others, 0 … `most_others`, each of
  /// which takes `size` slots, then the distance.
  Placement draw_placement(DistanceBand band, std::int64_t most_others, std::int64_t size);

  bool is_free(std::int64_t position) const { return is_free_[static_cast<std::size_t>(position)]; }

  /// Puts tokens into the slots from `begin` on.
  void put(std::int64_t begin, std::span<const std::int32_t> tokens);

  /// Where a run of `size` free slots begins in [begin, end), uniformly among all of them.
  std::optional<std::int64_t> find_place(std::int64_t begin, std::int64_t end, std::int64_t size);

  /// Fills the free slots in [begin, end) at random.
  void fill(std::int64_t begin, std::int64_t end);

  /// Puts blanks behind a question, whose answers stand `distance` before the tokens that predict
  /// them.
  void ask(std::int64_t begin, std::span<const std::int32_t> answers, std::int64_t distance);

  ProbeSequence finish() &&;

 private:
  DistanceRange distances(DistanceBand band) const;

  const ProbeSpec& spec_;
  const ProbeVocabulary& vocabulary_;
  RandomChoices choices_;
  ProbeSequence sequence_;
  std::vector<bool> is_free_;  // by position
};

/// What sets a task's sequences apart (see ProbeTask for their formats).
struct ProbeTaskRules {
  std::int64_t shortest_length;    ///< one of them beside the asked one finds room at any distance
  std::int64_t shortest_distance;  ///< where source and question adjoin
  /// The longest distance is the sequence's length less this: the source right after BOS and what
  /// belongs before it, the last blank right before EOS.
  std::int64_t beside_longest_distance;
  std::int64_t keys;         ///< that one pair, string or chain takes
  std::int64_t usual_pairs;  ///< where the difficulty does not say; 0: as many as have room
  void (*put)(ProbeDraft& draft);
};

ProbeTaskRules probe_task_rules(ProbeTask task, std::int64_t hops);

}  // namespace zebra
