#include "data/recall_probes.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <string>

#include "base/random.h"
#include "base/text.h"
#include "data/probe_draft.h"

namespace zebra {
namespace {

constexpr std::int64_t kMarkers = 3;
constexpr std::int64_t kFewestFillers = 16;  // where their number is not given

/// The ids for which `is_wanted`, appended in the order of the permutation.
template <class Predicate>
void append_shuffled(std::int64_t vocab_size, std::vector<std::int32_t>& ids, Predicate is_wanted) {
  const auto size = static_cast<std::uint64_t>(vocab_size);
  const Permutation permutation(size, RandomStream::named(0, "probe vocabulary").bits(0));
  for (std::uint64_t i = 0; i < size; ++i) {
    const auto id = static_cast<std::int32_t>(permutation(i));
    if (is_wanted(id)) ids.push_back(id);
  }
}

std::int64_t fewest_fillers(const ProbeVocabularySizes& sizes) {
  return sizes.fillers > 0 ? sizes.fillers : kFewestFillers;
}

void check_tokens(const Tokenizer& tokenizer, const ProbeVocabularySizes& sizes,
                  std::int64_t ordinary, std::int64_t needed) {
  if (ordinary >= needed) return;
  throw InputError(tokenizer.path().string() + ": has " + with_commas(ordinary) +
                   " ordinary tokens, but recall probes with " + with_commas(sizes.keys) +
                   " keys, " + with_commas(sizes.values) + " values, " + std::to_string(kMarkers) +
                   " markers and at least " + with_commas(fewest_fillers(sizes)) +
                   " fillers take " + with_commas(needed) +
                   "; take fewer of them, or a tokenizer with a larger vocabulary");
}

}  // namespace

void check_probe_vocabulary_sizes(const ProbeVocabularySizes& sizes, Problems& problems) {
  constexpr std::int64_t kMost = 1'000'000;  // far above any vocabulary
  if (sizes.keys < kFewestProbeKeys || sizes.keys > kMost) {
    problems.add("the number of keys is " + std::to_string(sizes.keys) + ": give " +
                 std::to_string(kFewestProbeKeys) + " or more, such as 32, and at most " +
                 with_commas(kMost));
  }
  if (sizes.values < 2 || sizes.values > kMost) {
    problems.add("the number of values is " + std::to_string(sizes.values) +
                 ": give 2 or more, such as 32, and at most " + with_commas(kMost));
  }
  if (sizes.fillers < 0 || sizes.fillers > kMost) {
    problems.add("the number of fillers is " + std::to_string(sizes.fillers) +
                 ": give 0 for all tokens that are left, or 1 or more, and at most " +
                 with_commas(kMost));
  }
}

ProbeVocabulary::ProbeVocabulary(const Tokenizer& tokenizer, ProbeVocabularySizes sizes)
    : may_fill_(static_cast<std::size_t>(tokenizer.vocab_size())),
      bos_(tokenizer.bos()),
      eos_(tokenizer.eos()) {
  Problems problems;
  check_probe_vocabulary_sizes(sizes, problems);
  problems.throw_if_any();

  const auto needed = sizes.keys + sizes.values + kMarkers + fewest_fillers(sizes);
  const auto vocab_size = tokenizer.vocab_size();
  const auto bytes_of = [&tokenizer](std::int32_t id) { return tokenizer.text_bytes(id); };
  std::vector<std::int32_t> ids;
  append_shuffled(vocab_size, ids, [&](std::int32_t id) { return bytes_of(id) > 1; });
  if (std::ssize(ids) < needed) {
    append_shuffled(vocab_size, ids, [&](std::int32_t id) { return bytes_of(id) == 1; });
  }
  check_tokens(tokenizer, sizes, std::ssize(ids), needed);

  auto next = ids.begin();
  const auto take = [&next](std::int64_t count) {
    const auto begin = next;
    next += count;
    return std::vector<std::int32_t>(begin, next);
  };
  keys_ = take(sizes.keys);
  values_ = take(sizes.values);
  markers_ = take(kMarkers);
  fillers_ = take(sizes.fillers > 0 ? sizes.fillers : ids.end() - next);

  for (std::int32_t id = 0; id < vocab_size; ++id) {
    may_fill_[static_cast<std::size_t>(id)] = tokenizer.text_bytes(id) > 0;
  }
  for (const auto id : keys_) may_fill_[static_cast<std::size_t>(id)] = false;
  for (const auto id : markers_) may_fill_[static_cast<std::size_t>(id)] = false;
}

bool ProbeVocabulary::may_fill(std::int32_t token) const {
  return token >= 0 && token < std::ssize(may_fill_) && may_fill_[static_cast<std::size_t>(token)];
}

namespace {

// Associative recall.
constexpr std::int64_t kTokensPerQuestion = 8;
constexpr int kMostDraws = 64;

// Passkey.
constexpr std::int64_t kNeedles = 4;
constexpr std::int64_t kNeedleValues = 4;

// Copying.
constexpr std::int64_t kStringTokens = 8;

// Variable tracking: a statement is `= name meaning`, the question `? name value`.
constexpr std::int64_t kStatementTokens = 3;
constexpr std::int64_t kChainStatements = 3;
constexpr std::int64_t kChains = 3;
static_assert(kFewestProbeKeys >= kChains * kChainStatements && kFewestProbeKeys >= kNeedles);

/// Where the pair's value may lie so that the pair and, `distance` behind it, the question with its
/// answer find room: one such position, or none.
std::optional<std::int64_t> place_pair(ProbeDraft& draft, std::int64_t distance) {
  std::vector<std::int64_t> places;
  for (std::int64_t source = 2; source + distance + 2 < draft.spec().length; ++source) {
    const auto question = source + distance;
    if (draft.is_free(source - 1) && draft.is_free(source) && draft.is_free(question) &&
        draft.is_free(question + 1)) {
      places.push_back(source);
    }
  }
  if (places.empty()) return std::nullopt;
  return draft.choices().one_of<std::int64_t>(places);
}

void put_question(ProbeDraft& draft, DistanceBand band, std::int32_t key) {
  for (int draw = 0; draw < kMostDraws; ++draw) {
    const auto distance = draft.draw_distance(band);
    const auto source = place_pair(draft, distance);
    if (!source) continue;
    const std::array pair = {key, draft.choices().one_of(draft.vocabulary().values())};
    draft.put(*source - 1, pair);
    draft.put(*source + distance, pair);
    draft.expect_answers(*source + distance + 1, 1, distance);
    return;
  }
}

void put_associative_recall(ProbeDraft& draft) {
  const auto& spec = draft.spec();
  const auto wanted = spec.questions > 0 ? spec.questions : spec.length / kTokensPerQuestion;
  const auto questions = std::clamp<std::int64_t>(wanted, 1, std::ssize(draft.vocabulary().keys()));
  const auto keys = draft.choices().distinct(draft.vocabulary().keys(), questions);
  std::vector<DistanceBand> bands(keys.size());
  for (auto& band : bands) band = draft.draw_band();
  // The larger a distance, the fewer its places: it goes first, while they are free.
  std::ranges::sort(bands, std::greater());
  for (std::size_t i = 0; i < keys.size(); ++i) put_question(draft, bands[i], keys[i]);
}

std::vector<std::int32_t> make_needle(ProbeDraft& draft, std::int32_t key) {
  auto needle = draft.choices().independent(draft.vocabulary().values(), kNeedleValues);
  needle.insert(needle.begin(), key);
  return needle;
}

void put_passkey(ProbeDraft& draft) {
  const auto question = draft.spec().length - 2 - kNeedleValues;
  const auto distance = draft.draw_distance(draft.draw_band());
  const auto keys = draft.choices().distinct(draft.vocabulary().keys(), kNeedles);
  const auto asked = make_needle(draft, keys.front());
  draft.put(question, asked);
  draft.put(question - distance - 1, asked);
  draft.expect_answers(question + 1, kNeedleValues, distance);
  for (std::size_t i = 1; i < keys.size(); ++i) {
    const auto other = make_needle(draft, keys[i]);
    draft.put(draft.take_place(std::ssize(other), question), other);
  }
}

void put_copying(ProbeDraft& draft) {
  const auto distance = draft.draw_distance(draft.draw_band());
  auto text = draft.choices().independent(draft.vocabulary().values(), kStringTokens);
  text.insert(text.begin(), draft.vocabulary().copy_marker());
  const auto apart = distance + 1;  // the first token is predicted by the marker, not by itself
  const auto first = draft.choices().between(1, draft.spec().length - 1 - std::ssize(text) - apart);
  draft.put(first, text);
  draft.put(first + apart, text);
  draft.expect_answers(first + apart + 1, kStringTokens, distance);
}

/// Places for the statements of the asked chain: the first ends with `source`, the others follow in
/// order, below `end`.
std::vector<std::int64_t> place_asked_chain(ProbeDraft& draft, std::int64_t source,
                                            std::int64_t end) {
  const auto after = source + 1;
  std::vector<std::int64_t> places = {after - kStatementTokens};
  const auto slack = end - after - (kChainStatements - 1) * kStatementTokens;
  for (std::int64_t i = 1; i < kChainStatements; ++i) {
    places.push_back(after + draft.choices().between(0, slack));
  }
  std::sort(places.begin() + 1, places.end());
  for (std::size_t i = 2; i < places.size(); ++i) {
    places[i] += static_cast<std::int64_t>(i - 1) * kStatementTokens;
  }
  return places;
}

std::vector<std::int64_t> place_other_chain(ProbeDraft& draft, std::int64_t end) {
  std::vector<std::int64_t> places(kChainStatements);
  for (auto& place : places) place = draft.take_place(kStatementTokens, end);
  std::ranges::sort(places);
  return places;
}

void put_chain(ProbeDraft& draft, std::span<const std::int64_t> places,
               std::span<const std::int32_t> names, std::int32_t value) {
  auto meaning = value;
  for (std::size_t i = 0; i < places.size(); ++i) {
    draft.put(places[i], std::array{draft.vocabulary().assignment_marker(), names[i], meaning});
    meaning = names[i];
  }
}

void put_variable_tracking(ProbeDraft& draft) {
  const auto question = draft.spec().length - 1 - kStatementTokens;
  const auto predicting = question + 1;  // the name, before the value
  const auto distance = draft.draw_distance(draft.draw_band());
  const auto names =
      draft.choices().distinct(draft.vocabulary().keys(), kChains * kChainStatements);
  const auto values = draft.choices().independent(draft.vocabulary().values(), kChains);
  const std::span all_names(names);
  const auto asked_names = all_names.first(kChainStatements);

  draft.put(question,
            std::array{draft.vocabulary().query_marker(), asked_names.back(), values.front()});
  draft.expect_answers(predicting + 1, 1, distance);
  put_chain(draft, place_asked_chain(draft, predicting - distance, question), asked_names,
            values.front());
  for (std::size_t i = 1; i < values.size(); ++i) {
    put_chain(draft, place_other_chain(draft, question),
              all_names.subspan(i * kChainStatements, kChainStatements), values[i]);
  }
}

struct TaskRules {
  std::int64_t shortest_length;
  std::int64_t shortest_distance;  // where source and question adjoin
  // The longest distance is the sequence's length less this: the source right after BOS and what
  // belongs before it, the last answer right before EOS.
  std::int64_t beside_longest_distance;
  void (*put)(ProbeDraft& draft);
};

const TaskRules& rules_of(ProbeTask task) {
  // In passkey and variable tracking the last run of n tokens finds room because each run before it
  // spoils at most 2 n - 1 of the places: 9 of 3 needles, 5 of 8 statements.
  static constexpr std::array<TaskRules, 4> kRules = {
      {{6, 1, 5, put_associative_recall},
       {39, kNeedleValues, 4 + kNeedleValues, put_passkey},
       {20, kStringTokens, 4 + kStringTokens, put_copying},
       {48, kChainStatements * kStatementTokens - 1, 6, put_variable_tracking}}};
  return kRules.at(static_cast<std::size_t>(task));
}

}  // namespace

std::int64_t shortest_probe_length(ProbeTask task) { return rules_of(task).shortest_length; }

void check_probe_length(ProbeTask task, std::int64_t length, Problems& problems) {
  if (length >= shortest_probe_length(task)) return;
  problems.add("a sequence of " + std::to_string(length) + " tokens has no room for " +
               name_of(task) + ": give a length of " + std::to_string(shortest_probe_length(task)) +
               " or more, or leave the task out");
}

DistanceRange possible_distances(ProbeTask task, std::int64_t length) {
  return {rules_of(task).shortest_distance, length - rules_of(task).beside_longest_distance};
}

ProbeSequence make_probe(const ProbeSpec& spec, const ProbeVocabulary& vocabulary,
                         const ProbeNumber& number, std::span<const std::int32_t> text) {
  Problems problems;
  check_distance_bands(spec.bands, problems);
  check_probe_length(spec.task, spec.length, problems);
  problems.throw_if_any();

  const std::string split = number.split == ProbeSplit::training ? "training" : "evaluation";
  ProbeDraft draft(
      spec, vocabulary,
      RandomStream::named(number.seed, split + " probe: " + name_of(spec.task), number.index));
  rules_of(spec.task).put(draft);
  return std::move(draft).finish(text);
}

}  // namespace zebra
