#pragma once

#include <cstdint>
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

  /// `count` candidates, independent of one another.
  std::vector<std::int32_t> independent(std::span<const std::int32_t> candidates,
                                        std::int64_t count);

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

  /// Uniform in a band that is not empty.
  std::int64_t draw_distance(DistanceBand band);

  bool is_free(std::int64_t position) const { return is_free_[static_cast<std::size_t>(position)]; }

  /// Puts tokens into the slots from `begin` on, which are free or were taken by take_place.
  void put(std::int64_t begin, std::span<const std::int32_t> tokens);

  /// Takes `count` slots below `end`, uniformly among all such runs of free ones, of which there is
  /// at least one; returns the first.
  std::int64_t take_place(std::int64_t count, std::int64_t end);

  /// The `count` tokens from `begin` on are answers, all at the same distance.
  void expect_answers(std::int64_t begin, std::int64_t count, std::int64_t distance);

  /// Fills the free slots as make_probe says.
  ProbeSequence finish(std::span<const std::int32_t> text) &&;

 private:
  DistanceRange distances(DistanceBand band) const;
  void mark_taken(std::int64_t begin, std::size_t count);

  const ProbeSpec& spec_;
  const ProbeVocabulary& vocabulary_;
  RandomChoices choices_;
  ProbeSequence sequence_;
  std::vector<bool> is_free_;  // by position
};

}  // namespace zebra
