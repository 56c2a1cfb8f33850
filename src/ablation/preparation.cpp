#include "ablation/preparation.h"

#include <chrono>
#include <csignal>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "config/load.h"
#include "config/names.h"
#include "data/probe_dataset.h"
#include "data/tokenizer.h"
#include "train/stop_signal.h"

namespace zebra {
namespace {

template <class Values, class Text>
std::string comma_separated(const Values& values, const Text& text) {
  std::vector<std::string> texts;
  for (const auto& value : values) texts.push_back(text(value));
  return join(texts, ",");
}

std::string number_text(std::int64_t value) { return std::to_string(value); }

// What was written for a former start must be what this one would write.
void check_unchanged(const Ablation& ablation, Problems& problems) {
  for (const auto& arm : ablation.arms) {
    const ArmPaths paths(ablation.sweep.dir, arm.name);
    if (!std::filesystem::exists(paths.run)) continue;
    const auto begun = resolve(load_run_file({paths.run_file}, {}));
    for (const auto& [key, before, after] : differences(begun, arm.config)) {
      if (may_change_on_resume(key)) continue;
      problems.add("arm " + arm.name + ": was begun with other settings: " + key + ": " + before +
                   " -> " + after + "; undo the change, or set another dir for the new sweep");
    }
  }
}

ProbeDatasetOptions probe_dataset_options(const Ablation& ablation, const Config& config) {
  const auto& probes = ablation.sweep.probes;
  const auto length = config.data.sequence_length;
  return {.tokenizer = config.data.tokenizer,
          .output = probe_dataset_path(ablation.sweep, length),
          .length = length,
          .bands = ablation.bands,
          .sequences = probes.training_sequences,
          .tasks = probes.training_tasks,
          .seed = static_cast<std::uint64_t>(probes.seed),
          .vocabulary = probes.vocabulary,
          .questions = probes.questions};
}

// The options that decide what is in the dataset.
std::string description(const ProbeDatasetOptions& options) {
  const nlohmann::ordered_json json = {
      {"tokenizer", Tokenizer(options.tokenizer).hash()},
      {"length", options.length},
      {"window", options.bands.window},
      {"layers", options.bands.layers},
      {"sequences", options.sequences},
      {"tasks", comma_separated(options.tasks, [](ProbeTask task) { return name_of(task); })},
      {"seed", options.seed},
      {"keys", options.vocabulary.keys},
      {"values", options.vocabulary.values},
      {"fillers", options.vocabulary.fillers},
      {"questions", options.questions}};
  return json.dump(2) + "\n";
}

std::filesystem::path description_file(const ProbeDatasetOptions& options) {
  return options.output.string() + ".json";
}

// One for each sequence length, by where it lies.
std::map<std::filesystem::path, ProbeDatasetOptions> probe_datasets(const Ablation& ablation) {
  std::map<std::filesystem::path, ProbeDatasetOptions> datasets;
  if (ablation.sweep.probes.training_share == 0.0) return datasets;
  for (const auto& arm : ablation.arms) {
    const auto options = probe_dataset_options(ablation, arm.config);
    datasets.emplace(options.output, options);
  }
  return datasets;
}

void check_unchanged(const ProbeDatasetOptions& options, Problems& problems) {
  const auto file = description_file(options);
  if (std::filesystem::exists(file) && read_file(file) != description(options)) {
    problems.add(options.output.string() +
                 ": holds training probes of other settings (the sweep's probes, compare or "
                 "tokenizer); undo the change, or set another dir for the new sweep");
  }
}

void write_missing(const ProbeDatasetOptions& options) {
  if (std::filesystem::exists(options.output)) return;
  std::filesystem::create_directories(options.output.parent_path());
  // First, so that a dataset is never without its description.
  write_file_atomically(description_file(options), description(options));
  const auto report = write_probe_dataset(options);
  log_info("wrote " + std::to_string(report.sequences) + " training probes to " +
           options.output.string());
}

std::vector<std::string> recall_command(const Ablation& ablation, const ArmPaths& paths,
                                        const Arm& arm, const std::filesystem::path& program) {
  const auto& probes = ablation.sweep.probes;
  return {program,
          "recall",
          paths.run,
          "--window",
          number_text(ablation.bands.window),
          "--layers",
          number_text(ablation.bands.layers),
          "--lengths",
          comma_separated(probes.lengths, number_text),
          "--tasks",
          comma_separated(probes.tasks, [](ProbeTask task) { return name_of(task); }),
          "--items",
          number_text(probes.items),
          "--keys",
          number_text(probes.vocabulary.keys),
          "--values",
          number_text(probes.vocabulary.values),
          "--fillers",
          number_text(probes.vocabulary.fillers),
          "--questions",
          number_text(probes.questions),
          "--seed",
          number_text(probes.seed),
          "--max-tokens",
          number_text(arm.config.eval.max_tokens),
          "--json",
          paths.recall()};
}

}  // namespace

std::vector<QueuedArm> prepare(const Ablation& ablation, const std::filesystem::path& program) {
  const auto datasets = probe_datasets(ablation);
  Problems problems;
  check_unchanged(ablation, problems);
  for (const auto& [path, options] : datasets) check_unchanged(options, problems);
  problems.throw_if_any();

  std::filesystem::create_directories(ablation.sweep.dir / "arms");
  for (const auto& [path, options] : datasets) write_missing(options);
  std::vector<QueuedArm> queue;
  for (const auto& arm : ablation.arms) {
    const ArmPaths paths(ablation.sweep.dir, arm.name);
    write_file_atomically(paths.run_file, to_yaml(arm.config));
    queue.push_back(
        {arm.name,
         paths,
         {{program, "train", paths.run_file}, recall_command(ablation, paths, arm, program), {}},
         arm.config.train.max_steps});
  }
  return queue;
}

void measure_cost(const Ablation& ablation, const std::filesystem::path& program) {
  const auto& sweep = ablation.sweep;
  if (sweep.cost_lengths.empty() || std::filesystem::exists(cost_file(sweep.dir))) return;
  std::set<std::string> patterns;
  for (const auto& arm : ablation.arms) patterns.insert(pattern_of(arm.config.model.layers));
  const auto log = sweep.dir / "cost.log";
  log_info("measuring cost by length (" + log.string() + ")");
  ChildProcess bench({program, "bench", ArmPaths(sweep.dir, ablation.arms.front().name).run_file,
                      "--lengths", comma_separated(sweep.cost_lengths, number_text), "--layouts",
                      comma_separated(patterns, [](const std::string& pattern) { return pattern; }),
                      "--json", cost_file(sweep.dir)},
                     {}, log);
  while (!bench.has_ended()) {
    if (stop_signal() != 0) bench.send(SIGTERM);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  if (!bench.report().is_done() && stop_signal() == 0) {
    log_warning("cost by length could not be measured (" + bench.report().text() + "): see " +
                log.string());
  }
}

}  // namespace zebra
