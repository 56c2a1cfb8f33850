#include "data/recall_probes.h"

#include <set>
#include <string>

#include "base/random.h"
#include "data/probe_draft.h"

namespace zebra {

std::vector<ProbeDifficulty> difficulties_of(ProbeTask task, std::span<const std::int64_t> pairs,
                                             std::span<const std::int64_t> hops) {
  constexpr ProbeDifficulty kUsual;
  const auto given = [](std::span<const std::int64_t> list, const std::int64_t& usual) {
    return list.empty() ? std::span(&usual, 1) : list;
  };
  const bool has_hops = task == ProbeTask::variable_tracking;
  std::vector<ProbeDifficulty> difficulties;
  for (const auto of_pairs : given(pairs, kUsual.pairs)) {
    for (const auto of_hops : given(has_hops ? hops : decltype(hops)(), kUsual.hops)) {
      difficulties.push_back({of_pairs, of_hops});
    }
  }
  return difficulties;
}

std::int64_t shortest_probe_length(ProbeTask task, std::int64_t hops) {
  return probe_task_rules(task, hops).shortest_length;
}

void check_probe(ProbeTask task, std::int64_t length, const ProbeDifficulty& difficulty,
                 std::int64_t keys, Problems& problems) {
  constexpr std::int64_t kMostHops = 1000;
  const auto& [pairs, hops] = difficulty;
  if (pairs != 0 && pairs < 2) {
    problems.add("the number of pairs is " + std::to_string(pairs) +
                 ": give 2 or more, or 0 for the task's own");
  }
  if (hops < 1 || hops > kMostHops) {
    problems.add("the number of hops is " + std::to_string(hops) + ": give 1 or more, at most " +
                 std::to_string(kMostHops));
    return;
  }
  const auto rules = probe_task_rules(task, hops);
  if (length < rules.shortest_length) {
    problems.add("a sequence of " + std::to_string(length) + " tokens has no room for " +
                 name_of(task) + ": give a length of " + std::to_string(rules.shortest_length) +
                 " or more, or leave the task out");
  }
  if (keys < 2 * rules.keys && keys >= kFewestProbeKeys) {
    problems.add(name_of(task) + " with " + std::to_string(hops) + " hops takes " +
                 std::to_string(2 * rules.keys) + " names for two chains, but there are " +
                 std::to_string(keys) + " keys: give more keys or fewer hops");
  }
}

void check_probes(std::span<const ProbeTask> tasks, std::span<const std::int64_t> lengths,
                  std::span<const std::int64_t> pairs, std::span<const std::int64_t> hops,
                  std::int64_t keys, Problems& problems) {
  Problems found;
  for (const auto task : tasks) {
    for (const auto& difficulty : difficulties_of(task, pairs, hops)) {
      for (const auto length : lengths) check_probe(task, length, difficulty, keys, found);
    }
  }
  std::set<std::string> told;
  for (const auto& problem : found.all())
    if (told.insert(problem).second) problems.add(problem);
}

DistanceRange possible_distances(const ProbeSpec& spec) {
  const auto rules = probe_task_rules(spec.task, spec.difficulty.hops);
  return {rules.shortest_distance, spec.length - rules.beside_longest_distance};
}

ProbeSequence make_probe(const ProbeSpec& spec, const ProbeVocabulary& vocabulary,
                         const ProbeNumber& number) {
  Problems problems;
  check_distance_bands(spec.bands, problems);
  check_probe(spec.task, spec.length, spec.difficulty, std::ssize(vocabulary.keys()), problems);
  problems.throw_if_any();

  const std::string split = number.split == ProbeSplit::training ? "training" : "evaluation";
  const auto stream = RandomStream::named(
      number.seed, split + " probe " + std::to_string(kProbeVersion) + ": " + name_of(spec.task),
      number.index);
  ProbeDraft draft(spec, vocabulary, stream);
  probe_task_rules(spec.task, spec.difficulty.hops).put(draft);
  return std::move(draft).finish();
}

}  // namespace zebra
