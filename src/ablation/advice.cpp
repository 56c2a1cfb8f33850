#include "ablation/advice.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "ablation/probes.h"
#include "ablation/sweep_report.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "base/system.h"
#include "plan/model_cost.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

void check_results(const Sweep& sweep) {
  if (!sweep.file.ladder.is_given()) {
    throw InputError(
        "--advise: the sweep has no ladder, from which a loss at another size could be told; give "
        "it one (docs/ablations.md)");
  }
  const bool has_finished = std::ranges::any_of(sweep.arms, [&](const Arm& arm) {
    return read_arm_status(ArmPaths(sweep.file.dir, arm.name), goal_of(sweep, arm)).state ==
           ArmState::finished;
  });
  if (has_finished) return;
  throw InputError("--advise: no arm of the ladder has finished in " + sweep.file.dir.string() +
                   "; run the sweep first, without --advise");
}

}  // namespace

nlohmann::ordered_json question_json(const Sweep& sweep, const AdviceQuestion& question) {
  Json json = {{"context", question.context},
               {"flops", question.flops},
               {"cache", question.cache ? Json(*question.cache) : Json()},
               {"costs", Json::array()}};
  std::set<std::pair<std::string, std::string>> told;
  for (const Arm& arm : sweep.arms) {
    if (!told.emplace(arm.ladder->layout, arm.ladder->size).second) continue;
    const ModelConfig& model = arm.config.model;
    json["costs"].push_back(
        {{"layout", arm.ladder->layout},
         {"size", arm.ladder->size},
         {"parameters", scaling_parameters(model)},
         {"training_flops_per_token",
          kTrainingPasses * forward_flops_per_token(model, question.context).total()},
         {"key_value_cache_bytes",
          key_value_cache_bytes(model, question.context, kCacheValueBytes)}});
  }
  return json;
}

void advise(const Sweep& sweep, const AdviceQuestion& question, bool as_json) {
  check_results(sweep);
  const auto results = write_results(sweep), asked = results.parent_path() / "question.json";
  write_file_atomically(asked, json_text(question_json(sweep, question), 2));
  std::vector<std::string> arguments = {results.string(), asked.string()};
  if (as_json) arguments.emplace_back("--json");
  run_python_script("ablation_advice.py", arguments);
}

}  // namespace zebra
