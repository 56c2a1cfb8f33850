#include "ablation/arms.h"

#include <algorithm>
#include <map>
#include <set>

#include "ablation/arm_problems.h"
#include "ablation/base_run.h"
#include "ablation/combinations.h"
#include "ablation/probe_share.h"
#include "base/file.h"
#include "config/load.h"

namespace zebra {
namespace {

std::vector<Arm> load_arms(const Sweep& sweep, const std::vector<Combination>& combinations,
                           const VocabularySize& vocabulary_of, ArmProblems& problems) {
  std::vector<Arm> arms;
  for (const Combination& combination : combinations) {
    try {
      const RunFile file = load_arm(sweep, combination);
      Config config = resolve(file, vocabulary_of(file));
      const std::int64_t seed = config.run.seed;
      arms.push_back({combination.name(),
                      combination.group,
                      seed,
                      combination.settings,
                      std::move(config),
                      {}});
    } catch (const InputError& error) {
      problems.add(combination.name(), error.what());
    }
  }
  return arms;
}

/// The configuration as text, without names and without what has no effect in its layout.
std::string what_it_trains(Config config) {
  config.run.name.clear();
  config.run.dir.clear();
  auto& model = config.model;
  if (!model.has(LayerKind::local)) {
    model.window_size = 0;
    model.local_rope_theta = model.rope_theta;
    model.attention_sink = false;
    config.schedule.window_warmup_steps = 0;
  }
  if (!model.has(LayerKind::global)) model.global_rope_theta = model.rope_theta;
  return to_yaml(config);
}

/// Each set of groups with the same runs is named once, by the arms of one seed.
void check_distinct(const std::vector<Arm>& arms, Problems& problems) {
  std::map<std::string, std::vector<const Arm*>> alike;
  for (const Arm& arm : arms) alike[what_it_trains(arm.config)].push_back(&arm);
  std::set<std::vector<std::string>> reported;
  for (const Arm& arm : arms) {
    const auto& same = alike[what_it_trains(arm.config)];
    std::vector<std::string> groups, names;
    for (const Arm* other : same) {
      groups.push_back(other->group);
      names.push_back(other->name);
    }
    if (same.size() == 1 || !reported.insert(groups).second) continue;
    const std::string last = names.back();
    names.pop_back();
    problems.add("arms " + join(names, ", ") + " and " + last +
                 " are the same run: they differ in nothing that has an effect; keep one of them, "
                 "and leave the others out with exclude");
  }
}

void choose_bands(Ablation& ablation, Problems& problems) {
  const CompareOptions& given = ablation.sweep.compare;
  const bool has_local =
      std::any_of(ablation.arms.begin(), ablation.arms.end(),
                  [](const Arm& arm) { return arm.config.model.has(LayerKind::local); });
  std::int64_t window = 0, layers = 0;
  for (const Arm& arm : ablation.arms) {
    const ModelConfig& model = arm.config.model;
    if (has_local && !model.has(LayerKind::local)) continue;
    window = std::max(window, model.window_size);
    layers = std::max(layers, model.num_hidden_layers());
  }
  ablation.bands = {given.window.value_or(window), given.layers.value_or(layers)};
  if (ablation.bands.window == 0) {
    problems.add(
        "compare.window: missing, and no arm has a window to take it from; give compare: {window: "
        "W, layers: n}, the bands of distance by which recall is told apart");
  }
}

void add_probes(Ablation& ablation, ArmProblems& problems) {
  const ProbeOptions& probes = ablation.sweep.probes;
  if (probes.training_share == 0.0) return;
  for (Arm& arm : ablation.arms) {
    const std::int64_t length = arm.config.data.sequence_length;
    try {
      Problems unfit;
      for (const ProbeTask task : probes.training_tasks) check_probe_length(task, length, unfit);
      for (const std::string& problem : unfit.all()) {
        problems.add(arm.name, "probes.training_tasks: " + problem);
      }
      add_training_probes(arm.config.data, probe_dataset_path(ablation.sweep, length),
                          probes.training_share);
    } catch (const InputError& error) {
      problems.add(arm.name, error.what());
    }
  }
}

void choose_probe_lengths(Ablation& ablation, Problems& problems) {
  ProbeOptions& probes = ablation.sweep.probes;
  std::set<std::filesystem::path> tokenizers;
  std::int64_t longest = 0;
  for (const Arm& arm : ablation.arms) {
    longest = std::max(longest, arm.config.data.sequence_length);
    tokenizers.insert(arm.config.data.tokenizer);
  }
  if (probes.lengths.empty()) probes.lengths = {longest};
  Problems unfit;
  for (const ProbeTask task : probes.tasks) {
    for (const std::int64_t length : probes.lengths) check_probe_length(task, length, unfit);
  }
  for (const std::string& problem : unfit.all()) problems.add("probes.lengths: " + problem);
  if (probes.training_share > 0.0 && tokenizers.size() > 1) {
    problems.add(
        "probes.training_share: training probes are tokens of one tokenizer, but the arms have " +
        std::to_string(tokenizers.size()) + "; give it as 0, or all arms one data.tokenizer");
  }
}

/// The run that budgets and equal parameters refer to.
struct Reference {
  ArmCost cost;
  Budget budget;
  bool equal_parameters;
};

void price_arm(Arm& arm, const Reference& reference) {
  if (reference.equal_parameters) {
    match_parameters(arm.config, reference.cost.parameters);
  }
  match_budget(arm.config, reference.budget, reference.cost);
  arm.cost = arm_cost(arm.config);
}

void price_arms(Ablation& ablation, const VocabularySize& vocabulary_of, Problems& problems) {
  const Sweep& sweep = ablation.sweep;
  Reference reference{{}, sweep.budget, sweep.equal_parameters};
  if (sweep.budget != Budget::steps || sweep.equal_parameters) {
    try {
      const RunFile base = load_base(sweep);
      reference.cost = arm_cost(resolve(base, vocabulary_of(base)));
    } catch (const InputError& error) {
      problems.add(std::string("the base run, which budget and equal_parameters refer to: ") +
                   error.what());
      return;
    }
  }
  ArmProblems of_arms;
  for (Arm& arm : ablation.arms) {
    try {
      price_arm(arm, reference);
    } catch (const InputError& error) {
      of_arms.add(arm.name, error.what());
    }
  }
  of_arms.add_to(problems);
}

void form_arms(Ablation& ablation, const VocabularySize& vocabulary_of, Problems& problems) {
  const Sweep& sweep = ablation.sweep;
  if (sweep.grid.axes.empty() || sweep.base.empty()) return;
  Problems unreadable;
  const Value base = read_base(sweep, unreadable);
  for (const std::string& problem : unreadable.all()) problems.add(problem);
  if (!unreadable.empty()) return;
  const auto combinations = combinations_of(sweep.grid, seed_of_base(base), problems);
  check_base_pattern(base, combinations, problems);
  ArmProblems of_arms;
  ablation.arms = load_arms(sweep, combinations, vocabulary_of, of_arms);
  check_distinct(ablation.arms, problems);
  const bool all_loaded = of_arms.empty() && !ablation.arms.empty();
  if (all_loaded) add_probes(ablation, of_arms);
  of_arms.add_to(problems);
  if (!all_loaded) return;
  choose_bands(ablation, problems);
  choose_probe_lengths(ablation, problems);
  price_arms(ablation, vocabulary_of, problems);
}

}  // namespace

Ablation parse_ablation(const std::string& yaml, const std::string& source,
                        const VocabularySize& vocabulary) {
  Problems problems;
  Ablation ablation;
  ablation.sweep = read_sweep(yaml, source, problems);
  form_arms(ablation, vocabulary, problems);
  problems.throw_if_any();
  return ablation;
}

Ablation load_ablation(const std::filesystem::path& file, const VocabularySize& vocabulary) {
  return parse_ablation(read_file(file), file.string(), vocabulary);
}

}  // namespace zebra
