#include "ablation/recall_request.h"

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "config/names.h"
#include "eval/recall.h"

namespace zebra {
namespace {

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
      {"--lengths", join(asked.lengths, ",")},
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
  if (!asked.pairs.empty()) command.insert(command.end(), {"--pairs", join(asked.pairs, ",")});
  if (!asked.hops.empty()) command.insert(command.end(), {"--hops", join(asked.hops, ",")});
  for (const auto& [name, value] : options) command.insert(command.end(), {name, value});
  if (asks_earlier(arm)) command.emplace_back("--earlier");
  return command;
}

}  // namespace zebra
