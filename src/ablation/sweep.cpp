#include "ablation/sweep.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include "ablation/combinations.h"
#include "ablation/sweep_folder.h"
#include "base/file.h"
#include "base/text.h"
#include "config/load.h"
#include "config/resolve.h"
#include "config/yaml.h"
#include "plan/model_cost.h"

namespace zebra {
namespace {

std::vector<Arm> load_arms(const SweepFile& file, const std::vector<Combination>& combinations,
                           const VocabularySize& vocabulary_of, ArmProblems& problems) {
  std::vector<Arm> arms;
  for (const Combination& combination : combinations) {
    try {
      const RunFile run = load_arm(file, combination);
      Arm arm{combination.name(),
              combination.group,
              0,
              combination.settings,
              resolve(run, vocabulary_of(run)),
              ArmCost(),
              {}};
      arm.seed = arm.config.run.seed;
      if (file.ladder.is_given()) {
        // A number: the file's reader has checked it.
        const double tokens_per_parameter =
            *number_from(find_setting(arm.settings, kTokensPerParameter)->value);
        train_for(arm.config, tokens_per_parameter);
        arm.ladder = {combination.layout, combination.size, tokens_per_parameter};
      }
      arms.push_back(std::move(arm));
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
    if (model.attention_sink == AttentionSink::local) model.attention_sink = AttentionSink::none;
    model.window_schedule.clear();
    config.schedule.window_warmup_steps = 0;
  }
  if (!model.has(LayerKind::global)) {
    model.global_rope_theta = model.rope_theta;
    if (model.attention_sink == AttentionSink::all) model.attention_sink = AttentionSink::local;
  }
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

void choose_bands(Sweep& sweep, Problems& problems) {
  const CompareOptions& given = sweep.file.compare;
  const bool has_local = std::any_of(sweep.arms.begin(), sweep.arms.end(), [](const Arm& arm) {
    return arm.config.model.has(LayerKind::local);
  });
  std::int64_t window = 0, layers = 0;
  for (const Arm& arm : sweep.arms) {
    const ModelConfig& model = arm.config.model;
    if (has_local && !model.has(LayerKind::local)) continue;
    window = std::max(window, model.window_size);
    layers = std::max(layers, model.num_hidden_layers());
  }
  sweep.bands = {given.window.value_or(window), given.layers.value_or(layers)};
  if (sweep.bands.window == 0) {
    problems.add(
        "compare.window: missing, and no arm has a window to take it from; give compare: {window: "
        "W, layers: n}, the bands of distance by which recall is told apart");
  }
}

void choose_contrast(Sweep& sweep, Problems& problems) {
  auto& contrast = sweep.file.contrast;
  if (contrast.empty()) {
    const auto all_global = std::ranges::find_if(
        sweep.arms, [](const Arm& arm) { return !arm.config.model.has(LayerKind::local); });
    contrast = (all_global == sweep.arms.end() ? sweep.arms.front() : *all_global).compared_as();
    return;
  }
  std::vector<std::string> groups;
  for (const Arm& arm : sweep.arms)
    if (groups.empty() || groups.back() != arm.compared_as()) groups.push_back(arm.compared_as());
  if (std::ranges::find(groups, contrast) != groups.end()) return;
  problems.add("contrast: there is no group " + contrast + "; the groups are " +
               join(groups, ", "));
}

void add_probes(Sweep& sweep, ArmProblems& problems) {
  const ProbeOptions& probes = sweep.file.probes;
  if (probes.training_share == 0.0) return;
  for (Arm& arm : sweep.arms) {
    const std::int64_t length = arm.config.data.sequence_length;
    try {
      Problems unfit;
      check_probes(probes.training_tasks, std::array{length}, probes.pairs, probes.hops,
                   probes.vocabulary.keys, unfit);
      for (const std::string& problem : unfit.all()) {
        problems.add(arm.name, "probes.training_tasks: " + problem);
      }
      add_training_probes(arm.config.data, probe_dataset_path(sweep.file.dir, length),
                          probes.training_share);
    } catch (const InputError& error) {
      problems.add(arm.name, error.what());
    }
  }
}

void choose_probe_lengths(Sweep& sweep, Problems& problems) {
  ProbeOptions& probes = sweep.file.probes;
  std::set<std::filesystem::path> tokenizers;
  std::int64_t longest = 0;
  for (const Arm& arm : sweep.arms) {
    longest = std::max(longest, arm.config.data.sequence_length);
    tokenizers.insert(arm.config.data.tokenizer);
  }
  if (probes.lengths.empty()) probes.lengths = {longest};
  Problems unfit;
  check_probes(probes.tasks, probes.lengths, probes.pairs, probes.hops, probes.vocabulary.keys,
               unfit);
  for (const std::string& problem : unfit.all()) problems.add("probes.lengths: " + problem);
  if (probes.training_share > 0.0 && tokenizers.size() > 1) {
    problems.add(
        "probes.training_share: training probes are tokens of one tokenizer, but the arms have " +
        std::to_string(tokenizers.size()) + "; give it as 0, or all arms one data.tokenizer");
  }
}

constexpr std::int64_t kSizeUnit = 8;  // matrix products want their sizes in such units

std::int64_t parameters_with(ModelConfig model, std::int64_t intermediate_size) {
  model.intermediate_size = intermediate_size;
  return count_parameters(model).total();
}

/// Stages that end at steps; one that no step is left for goes. Fractions move along by themselves.
template <class Stage>
void stretch_stages(std::vector<Stage>& stages, double ratio, std::int64_t steps) {
  std::int64_t before = 0;
  std::erase_if(stages, [&](Stage& stage) {
    if (stage.until.is_fraction()) return false;
    auto& last_step = stage.until.step;
    last_step =
        std::min<std::int64_t>(std::llround(static_cast<double>(last_step) * ratio), steps - 1);
    if (last_step <= before) return true;
    before = last_step;
    return false;
  });
}

/// Keeps what a run file must satisfy: the warm-up, and the decay after it, fit into the steps.
void stretch_schedules(Config& config, std::int64_t old_steps, std::int64_t steps) {
  auto& schedule = config.schedule;
  const double ratio = static_cast<double>(steps) / static_cast<double>(old_steps);
  const auto stretched = [&](std::int64_t part) {
    return static_cast<std::int64_t>(std::llround(static_cast<double>(part) * ratio));
  };
  if (schedule.decay_steps) {
    schedule.decay_steps = std::clamp<std::int64_t>(stretched(*schedule.decay_steps), 1, steps);
  }
  const bool has_decay = schedule.type == ScheduleType::wsd;
  const std::int64_t longest = has_decay ? steps - decay_steps(schedule, steps) : steps;
  schedule.warmup_steps = std::min(stretched(schedule.warmup_steps), longest);
  schedule.window_warmup_steps = stretched(schedule.window_warmup_steps);
  stretch_stages(config.model.window_schedule, ratio, steps);
  stretch_stages(config.data.stages, ratio, steps);
}

/// Sets what follows from the budget and equal parameters.
void price_arms(Sweep& sweep, const VocabularySize& vocabulary_of, Problems& problems) {
  const SweepFile& file = sweep.file;
  ArmCost base_cost;
  if (file.budget != Budget::steps || file.equal_parameters) {
    try {
      const RunFile base = load_base(file);
      base_cost = arm_cost(resolve(base, vocabulary_of(base)));
    } catch (const InputError& error) {
      problems.add(std::string("the base run, which budget and equal_parameters refer to: ") +
                   error.what());
      return;
    }
  }
  ArmProblems of_arms;
  for (Arm& arm : sweep.arms) {
    try {
      if (file.equal_parameters) match_parameters(arm.config, base_cost.parameters);
      match_budget(arm.config, file.budget, base_cost);
      arm.cost = arm_cost(arm.config);
    } catch (const InputError& error) {
      of_arms.add(arm.name, error.what());
    }
  }
  of_arms.add_to(problems);
}

void form_arms(Sweep& sweep, const VocabularySize& vocabulary_of, Problems& problems) {
  const SweepFile& file = sweep.file;
  if (file.grid.axes.empty() || file.base.empty()) return;
  const std::size_t before = problems.all().size();
  const Value base = read_base(file, problems);
  if (problems.all().size() > before) return;
  const auto combinations = combinations_of(file.grid, seed_of_base(base), problems);
  check_base_pattern(base, combinations, problems);
  ArmProblems of_arms;
  sweep.arms = load_arms(file, combinations, vocabulary_of, of_arms);
  check_distinct(sweep.arms, problems);
  const bool all_loaded = of_arms.empty() && !sweep.arms.empty();
  if (all_loaded) add_probes(sweep, of_arms);
  of_arms.add_to(problems);
  if (!all_loaded) return;
  choose_bands(sweep, problems);
  choose_contrast(sweep, problems);
  choose_probe_lengths(sweep, problems);
  price_arms(sweep, vocabulary_of, problems);
}

}  // namespace

Sweep parse_sweep(const std::string& yaml, const std::string& source,
                  const VocabularySize& vocabulary) {
  Problems problems;
  Sweep sweep;
  sweep.file = read_sweep_file(yaml, source, problems);
  form_arms(sweep, vocabulary, problems);
  problems.throw_if_any();
  return sweep;
}

Sweep load_sweep(const std::filesystem::path& file, const VocabularySize& vocabulary) {
  return parse_sweep(read_text_input(file), file.string(), vocabulary);
}

ArmCost arm_cost(const Config& config) {
  ArmCost cost;
  cost.parameters = count_parameters(config.model).total();
  cost.steps = config.train.max_steps;
  cost.tokens = cost.steps * config.train.global_batch_size * config.data.sequence_length;
  cost.flops_per_token = kTrainingPasses * mean_forward_flops_per_token(config).total();
  cost.flops = cost.flops_per_token * static_cast<double>(cost.tokens);
  return cost;
}

void match_parameters(Config& config, std::int64_t parameters) {
  const ModelConfig& model = config.model;
  if (count_parameters(model).total() == parameters) return;
  const std::int64_t smallest = parameters_with(model, kSizeUnit);
  const std::int64_t per_unit = parameters_with(model, 2 * kSizeUnit) - smallest;
  const std::int64_t beyond = parameters - smallest + per_unit / 2;
  if (beyond < 0) {
    throw InputError("equal_parameters: has " + with_commas(smallest) +
                     " parameters even with model.intermediate_size " + std::to_string(kSizeUnit) +
                     ", against the " + with_commas(parameters) +
                     " of the base; give it fewer layers or less width");
  }
  const std::int64_t units = 1 + beyond / per_unit;
  config.model.intermediate_size = units * kSizeUnit;
}

void set_steps(Config& config, std::int64_t steps) {
  stretch_schedules(config, config.train.max_steps, steps);
  config.train.max_steps = steps;
}

void match_budget(Config& config, Budget budget, const ArmCost& base) {
  if (budget == Budget::steps) return;
  const ArmCost own = arm_cost(config);
  const auto tokens_per_step = static_cast<double>(own.tokens / own.steps);
  const double exact = budget == Budget::flops
                           ? base.flops / (own.flops_per_token * tokens_per_step)
                           : static_cast<double>(base.tokens) / tokens_per_step;
  const std::int64_t steps = std::max<std::int64_t>(1, std::llround(exact));
  set_steps(config, steps);
}

void add_training_probes(DataSection& data, const std::filesystem::path& path, double share) {
  if (!data.stages.empty()) {
    throw InputError(
        "data.stages: probes.training_share is a share of one mixture, not of stages; remove one "
        "of the two, and name a dataset of probes in the stages yourself");
  }
  auto& sources = data.train;
  if (sources.size() == 1 && !sources.front().weight) sources.front().weight = 1.0;
  double total = 0.0;
  for (const DataSource& source : sources) {
    if (!source.weight) {
      throw InputError(
          "data.train: several sources without a weight, beside which probes cannot be given their "
          "probes.training_share; give each of them a weight");
    }
    total += *source.weight;
  }
  for (DataSource& source : sources) *source.weight *= (1.0 - share) / total;
  sources.push_back({{path, share}});
}

void ArmProblems::add(const std::string& arm, const std::string& message) {
  std::istringstream lines(message);
  for (std::string line; std::getline(lines, line);) {
    const auto known = std::ranges::find(found_, line, &Found::problem);
    if (known != found_.end()) ++known->arms;
    if (known == found_.end()) found_.push_back({line, arm, 1});
  }
}

void ArmProblems::add_to(Problems& problems) const {
  for (const auto& [problem, first_arm, arms] : found_) {
    const std::string others =
        arms == 1 ? ""
                  : " (and " + std::to_string(arms - 1) + " more arm" + (arms > 2 ? "s)" : ")");
    problems.add("arm " + first_arm + ": " + problem + others);
  }
}

}  // namespace zebra
