#include "data/key_blind.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/random.h"

namespace zebra {
namespace {

constexpr std::size_t kNewest = 8, kOldest = 4;

/// Values that stand side by side: the value of a pair or a chain, or a string.
struct Run {
  std::int64_t begin;
  std::span<const std::int32_t> values;
};

/// Those in front of `end`, in order.
std::vector<Run> runs_of_values(const ProbeVocabulary& vocabulary, const ProbeSequence& sequence,
                                std::int64_t end) {
  const std::span tokens(sequence.tokens);
  std::vector<Run> runs;
  for (std::int64_t i = 0; i < end;) {
    auto behind = i;
    while (behind < end && vocabulary.is_value(tokens[static_cast<std::size_t>(behind)])) ++behind;
    if (behind > i) {
      runs.push_back(
          {i, tokens.subspan(static_cast<std::size_t>(i), static_cast<std::size_t>(behind - i))});
    }
    i = std::max(behind, i + 1);
  }
  return runs;
}

/// What a strategy answers to one question: the values of a run in order.
using Guess = std::vector<std::int32_t>;

Guess guess_of(const Run& run) { return {run.values.begin(), run.values.end()}; }

/// The guesses at one question, by strategy; an empty one where a strategy has none.
class Guesses {
 public:
  Guesses(const ProbeSpec& spec, const ProbeVocabulary& vocabulary, const ProbeSequence& sequence,
          std::int64_t question, std::int64_t own_reach, RandomStream random)
      : vocabulary_(vocabulary),
        runs_(runs_of_values(vocabulary, sequence, question)),
        question_(question),
        reach_(spec.bands.reach()),
        own_reach_(own_reach),
        random_(random) {}

  std::vector<Guess> all() const {
    std::vector<Guess> guesses;
    for (std::size_t i = 1; i <= kNewest; ++i)
      guesses.push_back(i <= runs_.size() ? guess_of(runs_[runs_.size() - i]) : Guess());
    for (std::size_t i = 0; i < kOldest; ++i)
      guesses.push_back(i < runs_.size() ? guess_of(runs_[i]) : Guess());
    guesses.push_back(any());
    guesses.push_back(out_of(reach_));
    guesses.push_back(by_count(true, [](auto a, auto b) { return a < b; }));
    guesses.push_back(by_count(false, [](auto a, auto b) { return a > b; }));
    guesses.push_back(by_count(true, [](auto a, auto b) { return a % 2 < b % 2; }));
    guesses.push_back(out_of(own_reach_));
    return guesses;
  }

 private:
  template <class T>
  const T& picked(const std::vector<T>& candidates, std::uint64_t draw) const {
    return candidates[static_cast<std::size_t>(random_.bits(draw) % candidates.size())];
  }

  Guess any() const { return runs_.empty() ? Guess() : guess_of(picked(runs_, 0)); }

  /// Where values do not come twice, those within reach tell what is out of it: one by one, as a
  /// whole string of them is not told.
  Guess out_of(std::int64_t reach) const {
    const auto first_in_reach = question_ - 1 - reach;  // position
    std::vector<std::int32_t> unseen(vocabulary_.values().begin(), vocabulary_.values().end());
    for (const auto& run : runs_) {
      for (std::size_t i = 0; i < run.values.size(); ++i) {
        if (run.begin + static_cast<std::int64_t>(i) >= first_in_reach)
          std::erase(unseen, run.values[i]);
      }
    }
    Guess guess;
    if (unseen.empty() || runs_.empty()) return guess;
    for (std::size_t i = 0; i < runs_.front().values.size(); ++i)
      guess.push_back(picked(unseen, 1 + i));
    return guess;
  }

  /// For each place in a run the value there whose number of occurrences comes last in the order,
  /// the newest or the oldest of several.
  template <class Less>
  Guess by_count(bool newest, Less less) const {
    Guess guess;
    for (std::size_t i = 0; !runs_.empty() && i < runs_.front().values.size(); ++i) {
      std::vector<std::int32_t> seen;
      for (const auto& run : runs_)
        if (i < run.values.size()) seen.push_back(run.values[i]);
      if (newest) std::ranges::reverse(seen);
      const auto rarer = [&](std::int32_t a, std::int32_t b) {
        return less(std::ranges::count(seen, a), std::ranges::count(seen, b));
      };
      guess.push_back(*std::ranges::max_element(seen, rarer));
    }
    return guess;
  }

  const ProbeVocabulary& vocabulary_;
  std::vector<Run> runs_;
  std::int64_t question_;  // position of the blank
  std::int64_t reach_, own_reach_;
  RandomStream random_;
};

}  // namespace

const std::vector<std::string>& key_blind_strategies() {
  static const std::vector<std::string> names = [] {
    const std::array<const char*, kNewest> ordinals = {"",     "2nd ", "3rd ", "4th ",
                                                       "5th ", "6th ", "7th ", "8th "};
    std::vector<std::string> made;
    for (std::size_t i = 0; i < kNewest; ++i) made.push_back(std::string(ordinals[i]) + "newest");
    for (std::size_t i = 0; i < kOldest; ++i) made.push_back(std::string(ordinals[i]) + "oldest");
    for (const char* name : {"any", "out of reach", "most frequent", "least frequent", "odd count",
                             "out of own reach"})
      made.emplace_back(name);
    return made;
  }();
  return names;
}

std::vector<std::uint32_t> key_blind_hits(const ProbeSpec& spec, const ProbeVocabulary& vocabulary,
                                          const ProbeSequence& sequence, std::uint64_t number,
                                          std::int64_t own_reach) {
  std::vector<std::uint32_t> hits;
  std::vector<Guess> guesses;
  std::size_t place = 0;  // of the answer behind its question
  std::int64_t before = -1;
  for (const auto& answer : sequence.answers) {
    if (before >= 0 && answer.position == before + 1) {
      ++place;
    } else {
      place = 0;
      guesses = Guesses(spec, vocabulary, sequence, answer.position, own_reach,
                        RandomStream::named(number, "key-blind guesses",
                                            static_cast<std::uint64_t>(answer.position)))
                    .all();
    }
    before = answer.position;
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < guesses.size(); ++k) {
      if (place < guesses[k].size() && guesses[k][place] == answer.token) bits |= 1U << k;
    }
    hits.push_back(bits);
  }
  return hits;
}

}  // namespace zebra
