#include "ablation/probes.h"

#include <nlohmann/json.hpp>

#include "ablation/sweep_folder.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "base/text.h"
#include "config/names.h"
#include "data/tokenizer.h"
#include "data/training_data.h"
#include "eval/recall.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

ProbeDatasetOptions dataset_options(const Sweep& sweep, const Config& config) {
  const auto& probes = sweep.file.probes;
  const auto length = config.data.sequence_length;
  return {.tokenizer = config.data.tokenizer,
          .output = probe_dataset_path(sweep.file.dir, length),
          .length = length,
          .bands = {probes.training_bands.window.value_or(sweep.bands.window),
                    probes.training_bands.layers.value_or(sweep.bands.layers)},
          .sequences = probes.training_sequences,
          .tasks = probes.training_tasks,
          .seed = static_cast<std::uint64_t>(probes.seed),
          .vocabulary = probes.vocabulary,
          .questions = probes.questions,
          .pairs = probes.pairs,
          .hops = probes.hops};
}

// The options that decide what is in the dataset.
Json description(const ProbeDatasetOptions& options) {
  return {{"version", kProbeVersion},
          {"tokenizer", Tokenizer(options.tokenizer).hash()},
          {"length", options.length},
          {"window", options.bands.window},
          {"layers", options.bands.layers},
          {"sequences", options.sequences},
          {"tasks", join(names_of(options.tasks), ",")},
          {"seed", options.seed},
          {"keys", options.vocabulary.keys},
          {"values", options.vocabulary.values},
          {"fillers", options.vocabulary.fillers},
          {"questions", options.questions},
          {"pairs", join_numbers(options.pairs, ",")},
          {"hops", join_numbers(options.hops, ",")}};
}

std::filesystem::path description_file(const ProbeDatasetOptions& options) {
  return options.output.string() + ".json";
}

// A key of a description as `probes` of a sweep file spells it, with its value.
std::string as_setting(const std::string& key, const Json& value) {
  const auto text = value.is_string() ? "[" + value.get<std::string>() + "]" : value.dump();
  const bool is_of_training = key == "sequences" || key == "tasks";
  return (is_of_training ? "training_" : "") + key + ": " + text;
}

std::string bands_setting(const Json& description) {
  return "training_bands: {" + as_setting("window", description.value("window", Json())) + ", " +
         as_setting("layers", description.value("layers", Json())) + "}";
}

void add_difference(const ProbeDatasetOptions& options, const Json& written, const Json& wanted,
                    Problems& problems) {
  std::vector<std::string> changes, former;
  const auto differs = [&](const std::string& key) {
    return written.value(key, Json()) != wanted.at(key);
  };
  if (differs("tokenizer")) changes.emplace_back("another tokenizer");
  if (differs("window") || differs("layers")) {
    former.push_back(bands_setting(written));
    changes.push_back(former.back() + " -> " + bands_setting(wanted));
  }
  for (const auto& [key, value] : wanted.items()) {
    if (key == "tokenizer" || key == "window" || key == "layers" || !differs(key)) continue;
    former.push_back(as_setting(key, written.value(key, Json())));
    changes.push_back(former.back() + " -> " + as_setting(key, value));
  }
  const auto way_out = former.empty() ? "undo the change"
                                      : "write `probes: {" + join(former, ", ") +
                                            "}` in the sweep file to keep those, and the arms that "
                                            "have learnt from them";
  problems.add(options.output.string() + ": holds training probes of other settings (" +
               join(changes, "; ") +
               "), and arms that learn from different probes do not compare; " + way_out +
               ", or set another dir for the new sweep");
}

bool asks_earlier(const Arm& arm) { return arm.config.checkpoint.keep_every > 0; }

RecallOptions recall_options(const Sweep& sweep, const Arm& arm) {
  const auto& probes = sweep.file.probes;
  RecallOptions options = {.bands = sweep.bands, .lengths = probes.lengths, .tasks = probes.tasks};
  options.items = probes.items;
  options.vocabulary = probes.vocabulary;
  options.questions = probes.questions;
  options.pairs = probes.pairs;
  options.hops = probes.hops;
  options.seed = static_cast<std::uint64_t>(probes.seed);
  options.max_tokens = arm.config.eval.max_tokens;
  return options;
}

}  // namespace

std::map<std::filesystem::path, ProbeDatasetOptions> training_probes(const Sweep& sweep) {
  std::map<std::filesystem::path, ProbeDatasetOptions> datasets;
  if (sweep.file.probes.training_share == 0.0) return datasets;
  for (const auto& arm : sweep.arms) {
    const auto options = dataset_options(sweep, arm.config);
    datasets.emplace(options.output, options);
  }
  return datasets;
}

void check_training_probes(const ProbeDatasetOptions& options, Problems& problems) {
  const auto file = description_file(options);
  if (!std::filesystem::exists(file)) return;
  const auto text = read_file(file);
  if (const auto fault = json_object_fault(text); !fault.empty()) {
    problems.add(file.string() + ": " + fault + "; set another dir for the new sweep");
    return;
  }
  const auto written = Json::parse(text), wanted = description(options);
  if (written.value("version", 0) != kProbeVersion) {
    problems.add(options.output.string() +
                 ": holds training probes of another version of zebra than this one, whose probes "
                 "are others (see CHANGELOG.md), so that results would not compare; set another "
                 "dir for the new sweep, or finish this one with the version that began it");
  } else if (written != wanted) {
    add_difference(options, written, wanted, problems);
  }
}

void write_training_probes(const ProbeDatasetOptions& options) {
  if (std::filesystem::exists(options.output)) return;
  std::filesystem::create_directories(options.output.parent_path());
  // First, so that a dataset is never without its description.
  write_file_atomically(description_file(options), description(options).dump(2) + "\n");
  const auto report = write_probe_dataset(options);
  log_info("wrote " + std::to_string(report.sequences) + " training probes to " +
           options.output.string());
}

void set_probe_loss_share(Config& config, double share) {
  auto& train = config.data.train;
  auto& weight = train.back().loss_weight;
  weight = 1.0;
  const Tokenizer tokenizer(config.data.tokenizer);
  const TrainingData data(config, open_training_datasets(config, tokenizer), /*pinned=*/false);
  const double unweighted = data.shares().back().loss;
  weight = share / (1.0 - share) * (1.0 - unweighted) / unweighted;
  if (weight >= kLeastLossWeight && weight <= kMostLossWeight) return;
  throw InputError("probes.training_loss_share: " + round_trip(share) +
                   " of the loss would take a loss_weight of " + scientific(weight) +
                   " for the probes, whose targets are " + fixed(100.0 * unweighted, 2) +
                   " % of the loss without it; set another probes.training_share");
}

ArmGoal goal_of(const Sweep& sweep, const Arm& arm) {
  return {arm.config.train.max_steps,
          asked_json(recall_options(sweep, arm), asks_earlier(arm)).dump()};
}

std::vector<std::string> recall_command(const Sweep& sweep, const Arm& arm,
                                        const std::filesystem::path& program) {
  const ArmPaths paths(sweep.file.dir, arm.name);
  const auto asked = recall_options(sweep, arm);
  const std::vector<std::pair<std::string, std::string>> options = {
      {"--window", std::to_string(asked.bands.window)},
      {"--layers", std::to_string(asked.bands.layers)},
      {"--lengths", join_numbers(asked.lengths, ",")},
      {"--tasks", join(names_of(asked.tasks), ",")},
      {"--items", std::to_string(asked.items)},
      {"--keys", std::to_string(asked.vocabulary.keys)},
      {"--values", std::to_string(asked.vocabulary.values)},
      {"--fillers", std::to_string(asked.vocabulary.fillers)},
      {"--questions", std::to_string(asked.questions)},
      {"--seed", std::to_string(asked.seed)},
      {"--max-tokens", std::to_string(asked.max_tokens)},
      {"--json", paths.recall()}};
  std::vector<std::string> command = {program, "recall", paths.run};
  if (!asked.pairs.empty())
    command.insert(command.end(), {"--pairs", join_numbers(asked.pairs, ",")});
  if (!asked.hops.empty()) command.insert(command.end(), {"--hops", join_numbers(asked.hops, ",")});
  for (const auto& [name, value] : options) command.insert(command.end(), {name, value});
  if (asks_earlier(arm)) command.emplace_back("--earlier");
  return command;
}

}  // namespace zebra
