#include "data/probe_draft.h"

#include <algorithm>
#include <array>
#include <functional>
#include <vector>

namespace zebra {
namespace {

constexpr std::int64_t kStringTokens = 4;     // of copying
constexpr std::int64_t kStatementTokens = 3;  // `= name meaning`, and `? name _`
constexpr std::int64_t kTokensPerQuestion = 8;
constexpr std::int64_t kPairTokens = 2;
constexpr int kMostDraws = 64;

/// How many pairs, strings or chains there are where keys, values and slots would allow `most`.
std::int64_t pairs_of(const ProbeDraft& draft, std::int64_t most) {
  const auto& [task, bands, length, questions, difficulty] = draft.spec();
  const auto usual = probe_task_rules(task, difficulty.hops).usual_pairs;
  const auto wanted = difficulty.pairs > 0 ? difficulty.pairs : usual > 0 ? usual : most;
  return std::min(wanted, most);
}

/// The pairs and questions of associative recall, as they are placed one after the other.
class PairLayout {
 public:
  PairLayout(ProbeDraft& draft, std::int64_t pairs, std::int64_t questions)
      : draft_(draft),
        kept_for_questions_(static_cast<std::size_t>(questions)),
        keys_(draft.choices().distinct(draft.vocabulary().keys(), pairs)),
        values_(draft.choices().distinct(draft.vocabulary().values(), pairs)) {}

  /// A pair and its question at a distance in the band, as long as some find room.
  void ask(DistanceBand band) {
    --kept_for_questions_;
    for (int draw = 0; draw < kMostDraws; ++draw) {
      const auto [others, distance] =
          draft_.draw_placement(band, std::ssize(keys_) - 1, kPairTokens);
      const auto source =
          find_source(distance, band == DistanceBand::control ? others : kAnyNumber);
      if (!source) continue;
      const auto question = *source + distance;
      const std::array key = {keys_[values_at_.size()]};
      const std::array value = {values_[values_at_.size()]};
      put_pair(*source - 1);
      draft_.put(question, key);
      draft_.ask(question + 1, value, distance);
      last_question_ = std::max(last_question_, question);
      asked_.push_back({*source, question, others});
      // Within a window the number of others is kept exactly, or the newest would be right too
      // often.
      if (band == DistanceBand::control) {
        put_others(asked_.back());
        draft_.fill(*source + 1, question);
      }
      return;
    }
  }

  /// The pairs that nobody asks for.
  void put_rest() {
    for (const auto& asked : asked_) put_others(asked);
    while (put_pair_within(1, last_question_)) continue;
  }

 private:
  static constexpr std::int64_t kAnyNumber = INT64_MAX;
  struct Asked {
    std::int64_t source, question, others;
  };

  /// Where a pair's value may stand so that the pair and, `distance` behind it, its question have
  /// room, with at most so many others between.
  std::optional<std::int64_t> find_source(std::int64_t distance, std::int64_t most_others) {
    std::vector<std::int64_t> places;
    for (std::int64_t source = 2; source + distance + 2 < draft_.spec().length; ++source) {
      const auto question = source + distance;
      if (draft_.is_free(source - 1) && draft_.is_free(source) && draft_.is_free(question) &&
          draft_.is_free(question + 1) && others_between(source, question) <= most_others) {
        places.push_back(source);
      }
    }
    if (places.empty()) return std::nullopt;
    return draft_.choices().one_of<std::int64_t>(places);
  }

  std::int64_t others_between(std::int64_t source, std::int64_t question) const {
    return std::ranges::count_if(values_at_,
                                 [&](std::int64_t at) { return source < at && at < question; });
  }

  void put_others(const Asked& asked) {
    while (others_between(asked.source, asked.question) < asked.others &&
           put_pair_within(asked.source + 1, asked.question)) {
    }
  }

  /// The next pair, if one is left and has room.
  bool put_pair_within(std::int64_t begin, std::int64_t end) {
    if (values_at_.size() + kept_for_questions_ == keys_.size()) return false;
    const auto place = draft_.find_place(begin, end, kPairTokens);
    if (place) put_pair(*place);
    return place.has_value();
  }

  void put_pair(std::int64_t place) {
    const auto pair = values_at_.size();
    draft_.put(place, std::array{keys_[pair], values_[pair]});
    values_at_.push_back(place + 1);
  }

  ProbeDraft& draft_;
  std::size_t kept_for_questions_;  // pairs, of those that are not placed
  std::vector<std::int32_t> keys_, values_;
  std::vector<std::int64_t> values_at_;  // of the pairs that are placed, in the order of placing
  std::vector<Asked> asked_;
  std::int64_t last_question_ = 0;
};

void put_associative_recall(ProbeDraft& draft) {
  const auto& spec = draft.spec();
  const auto body = spec.length - 2;
  const auto most =
      std::min(std::ssize(draft.vocabulary().keys()), std::ssize(draft.vocabulary().values()));
  // Each question goes with a pair that is asked for and one that is not.
  const auto room = std::max<std::int64_t>(body / (3 * kPairTokens), 1);
  auto questions = spec.questions > 0 ? spec.questions : spec.length / kTokensPerQuestion;
  questions = std::clamp<std::int64_t>(questions, 1, std::min(room, most / 2));
  const auto pairs = pairs_of(draft, std::min(most, body / kPairTokens - questions));
  questions = std::min(questions, pairs / 2);

  PairLayout layout(draft, pairs, questions);
  std::vector<DistanceBand> bands(static_cast<std::size_t>(questions));
  for (auto& band : bands) band = draft.draw_band();
  // The larger a distance, the fewer its places: it goes first, while they are free.
  std::ranges::sort(bands, std::greater());
  for (const auto band : bands) layout.ask(band);
  layout.put_rest();
}

/// Keys with `count` values each, one of which is asked for at the end.
void put_strings(ProbeDraft& draft, std::int64_t count) {
  const auto size = 1 + count;
  const auto question = draft.spec().length - 1 - size;
  const auto& vocabulary = draft.vocabulary();
  const auto strings =
      pairs_of(draft, std::min({std::ssize(vocabulary.keys()),
                                std::ssize(vocabulary.values()) / count, (question - 1) / size}));
  const auto placed = draft.draw_placement(draft.draw_band(), strings - 1, size);
  const auto asked = question - placed.distance - 1;
  // Those that find no room before the asked one stand behind it.
  const auto before = std::min(strings - 1 - placed.others, (asked - 1) / size);
  const auto between = std::min(strings - 1 - before, (question - asked) / size - 1);

  auto& choices = draft.choices();
  auto places = choices.spread(1, asked, before, size);
  places.push_back(asked);
  const auto behind = choices.spread(asked + size, question, between, size);
  places.insert(places.end(), behind.begin(), behind.end());
  const auto keys = choices.distinct(vocabulary.keys(), std::ssize(places));
  const auto values = choices.distinct(vocabulary.values(), std::ssize(places) * count);
  const auto values_of = [&](std::size_t string) {
    return std::span(values).subspan(string * static_cast<std::size_t>(count),
                                     static_cast<std::size_t>(count));
  };
  for (std::size_t i = 0; i < places.size(); ++i) {
    draft.put(places[i], std::array{keys[i]});
    draft.put(places[i] + 1, values_of(i));
  }
  const auto string = static_cast<std::size_t>(before);
  draft.put(question, std::array{keys[string]});
  draft.ask(question + 1, values_of(string), placed.distance);
}

void put_passkey(ProbeDraft& draft) { put_strings(draft, 1); }
void put_copying(ProbeDraft& draft) { put_strings(draft, kStringTokens); }

/// The chain of each statement of variable tracking before and behind the source of the answer, in
/// random order; 0 is the asked one, whose first statement holds the source.
struct ChainLayout {
  std::vector<std::int32_t> before, behind;
};

/// Of `others` chains beside the asked one `newer` begin behind the source, and more where the rest
/// find no room before it. Each has a first statement, and up to `hops` more as far as there is
/// room: `room_before` statements, and `room_behind` besides those of the asked chain.
ChainLayout draw_chains(RandomChoices& choices, std::int64_t hops, std::int64_t others,
                        std::int64_t newer, std::int64_t room_before, std::int64_t room_behind) {
  const auto older = std::min(others - newer, room_before);
  newer = std::min(others - older, room_behind);
  ChainLayout layout;
  std::vector<std::int32_t> further;  // the chains of the statements that are not the first
  for (std::int32_t chain = 1; chain <= older + newer; ++chain) {
    (chain <= older ? layout.before : layout.behind).push_back(chain);
    further.insert(further.end(), static_cast<std::size_t>(hops), chain);
  }
  for (const auto chain : choices.distinct(further, std::ssize(further))) {
    const bool fits_before = chain <= older && std::ssize(layout.before) < room_before;
    const bool fits_behind = std::ssize(layout.behind) < room_behind;
    if (fits_before && (!fits_behind || choices.between(0, 1) == 0)) {
      layout.before.push_back(chain);
    } else if (fits_behind) {
      layout.behind.push_back(chain);
    }
  }
  layout.behind.insert(layout.behind.end(), static_cast<std::size_t>(hops), 0);
  layout.before = choices.distinct(layout.before, std::ssize(layout.before));
  layout.behind = choices.distinct(layout.behind, std::ssize(layout.behind));
  return layout;
}

void put_variable_tracking(ProbeDraft& draft) {
  const auto hops = draft.spec().difficulty.hops, statements = hops + 1;
  const auto question = draft.spec().length - 1 - kStatementTokens;
  const auto& vocabulary = draft.vocabulary();
  auto& choices = draft.choices();
  const auto chains = pairs_of(
      draft, std::min({std::ssize(vocabulary.keys()) / statements, std::ssize(vocabulary.values()),
                       (question - 1) / kStatementTokens - hops}));
  const auto placed = draft.draw_placement(draft.draw_band(), chains - 1, kStatementTokens);
  const auto source = question + 1 - placed.distance;
  const auto root = source + 1 - kStatementTokens;
  const auto layout =
      draw_chains(choices, hops, chains - 1, placed.others, (root - 1) / kStatementTokens,
                  (question - source - 1) / kStatementTokens - hops);

  const auto names = choices.distinct(vocabulary.keys(), chains * statements);
  const auto values = choices.distinct(vocabulary.values(), chains);
  std::vector<std::int64_t> stated(static_cast<std::size_t>(chains), 0);
  const auto state = [&](std::int64_t place, std::int32_t chain) {
    const auto index = static_cast<std::size_t>(chain);
    const auto name = static_cast<std::size_t>(chain * statements + stated[index]);
    const auto meaning = stated[index]++ == 0 ? values[index] : names[name - 1];
    draft.put(place, std::array{vocabulary.assignment_marker(), names[name], meaning});
  };
  const auto state_all = [&](const std::vector<std::int32_t>& of_chains, std::int64_t begin,
                             std::int64_t end) {
    const auto places = choices.spread(begin, end, std::ssize(of_chains), kStatementTokens);
    for (std::size_t i = 0; i < places.size(); ++i) state(places[i], of_chains[i]);
  };
  state_all(layout.before, 1, root);
  state(root, 0);
  state_all(layout.behind, source + 1, question);
  draft.put(question, std::array{vocabulary.query_marker(), names[static_cast<std::size_t>(hops)]});
  draft.ask(question + 2, std::array{values.front()}, placed.distance);
}

}  // namespace

ProbeTaskRules probe_task_rules(ProbeTask task, std::int64_t hops) {
  // A run of n slots finds room on one side of the source when 2 n - 1 are free on both together.
  switch (task) {
    case ProbeTask::associative_recall:
      return {8, 1, 5, 1, 0, put_associative_recall};
    case ProbeTask::passkey:
      return {9, 1, 5, 1, 8, put_passkey};
    case ProbeTask::copying:
      return {1 + 4 * (1 + kStringTokens), kStringTokens, 4 + kStringTokens, 1, 4, put_copying};
    case ProbeTask::variable_tracking:
      break;
  }
  const auto chain = (hops + 1) * kStatementTokens;
  return {chain + 10, chain - 1, 6, hops + 1, 4, put_variable_tracking};
}

}  // namespace zebra
