#include "ablation/ladder.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "ablation/base_run_folder.h"
#include "ablation/sweep_report.h"
#include "config/load.h"
#include "support/catch.h"

using namespace zebra;
using namespace zebra::testing;
using Catch::Matchers::Contains;

namespace {

const std::string kLadder =
    "ladder:\n"
    "  sizes: {small: {model.hidden_size: 24}, large: {}}\n"
    "  tokens_per_parameter: [10, 2.5]\n"
    "  learning_rates: [1.0e-3, 3.0e-3]\n";
const std::string kLayouts =
    "axes:\n"
    "  attention: {full: {model.self_attn_type: full}, mixed: {model.layer_group_size: 2}}\n"
    "  run.seed: [1, 2]\n";

// Width d, 80 inside, 4 layers with as many heads for keys as for queries, 100 pieces.
std::int64_t parameters_of(std::int64_t d) {
  const std::int64_t block = 4 * d * d + 3 * d * 80 + 2 * d;
  return 4 * block + d + 100 * d;  // the last norm, and the head without the embedding
}

const Arm& arm_named(const Sweep& sweep, const std::string& name) {
  for (const Arm& arm : sweep.arms)
    if (arm.name == name) return arm;
  FAIL("no arm " + name);
  return sweep.arms.front();
}

}  // namespace

TEST_CASE("A ladder is three axes more, and its arms train as long as their parameters ask for") {
  const BaseRunFolder folder;
  const Sweep sweep = folder.sweep(kLayouts + kLadder);
  REQUIRE(sweep.arms.size() == 2 * 2 * 2 * 2 * 2);
  CHECK(sweep.arms.front().name == "full_small_10-per-parameter_1.0e-3-lr_seed-1");
  const Arm& arm = arm_named(sweep, "mixed_large_2.5-per-parameter_3.0e-3-lr_seed-2");
  REQUIRE(arm.ladder.has_value());
  CHECK(arm.ladder->layout == "mixed");
  CHECK(arm.ladder->size == "large");
  CHECK(arm.ladder->tokens_per_parameter == 2.5);
  CHECK(arm.config.optimizer.lr == 3e-3);
  CHECK(pattern_of(arm.config.model.layers) == "GLGL");
  CHECK(scaling_parameters(arm.config.model) == parameters_of(48));
  // 2.5 x 88,176 tokens in steps of 12 x 64: 287.03 steps; 3 of 20 steps warm up.
  CHECK(arm.config.train.max_steps == 287);
  CHECK(arm.config.schedule.warmup_steps == 43);
  CHECK(arm.cost.tokens == 287 * 768);
  const Arm& small = arm_named(sweep, "full_small_10-per-parameter_1.0e-3-lr_seed-1");
  CHECK(small.config.train.max_steps == (10 * parameters_of(24) + 384) / 768);
}

TEST_CASE("Tied weights count once, since the embedding is the head") {
  const BaseRunFolder folder;
  const auto arms = folder.arms("axes: {model.tie_word_embeddings: [false, true]}\n" + kLadder);
  CHECK(scaling_parameters(arms.front().config.model) == parameters_of(24));
  CHECK(scaling_parameters(arms.back().config.model) == parameters_of(48));
}

TEST_CASE("All arms of a ladder are evaluated as often as the base run, the last time at the end") {
  std::string base = kBaseRun + "eval: {every_steps: 4}\n";
  base.replace(base.find("train: [{path"), 0, "validation: [{path: data/v}], ");
  const BaseRunFolder folder(base);
  for (const Arm& arm : folder.arms(kLadder)) {
    const auto every = arm.config.eval.every_steps, steps = arm.config.train.max_steps;
    CHECK((steps + every - 1) / every == 5);
  }
  const BaseRunFolder without;
  CHECK(without.arms(kLadder).front().config.eval.every_steps == 0);
}

TEST_CASE("Without other axes the layout is the base's; combinations can be left out") {
  const BaseRunFolder folder;
  const Sweep sweep = folder.sweep(
      kLadder +
      "exclude: [{ladder.sizes: large, ladder.tokens_per_parameter: 10}, {optimizer.lr: 0.003}]\n");
  CHECK(names_of_arms(sweep.arms) ==
        std::vector<std::string>{"small_10-per-parameter_1.0e-3-lr_seed-4",
                                 "small_2.5-per-parameter_1.0e-3-lr_seed-4",
                                 "large_2.5-per-parameter_1.0e-3-lr_seed-4"});
  CHECK(sweep.arms.front().ladder->layout == "base");
}

TEST_CASE("The contrast of a ladder is a layout") {
  const BaseRunFolder folder;
  CHECK(folder.sweep(kLayouts + kLadder).file.contrast == "full");
  CHECK(folder.sweep(kLayouts + kLadder + "contrast: mixed\n").file.contrast == "mixed");
  CHECK(folder.refusal(kLayouts + kLadder + "contrast: half\n") ==
        "contrast: there is no group half; the groups are full, mixed");
}

TEST_CASE("What a ladder decides cannot be given as well, and all of it is said at once") {
  const BaseRunFolder folder;
  const std::string message = folder.refusal(
      "axes: {optimizer.lr: [1.0e-3], model.hidden_size: [24], train.max_steps: [5]}\n"
      "budget: tokens\n"
      "equal_parameters: true\n" +
      kLadder);
  CHECK_THAT(message, Contains("optimizer.lr is already set by axes.optimizer.lr") &&
                          Contains("model.hidden_size is already set by axes.model.hidden_size"));
  const std::string derived = folder.refusal(
      "axes: {train.max_steps: [5]}\nbudget: tokens\nequal_parameters: true\n" + kLadder);
  CHECK_THAT(derived, Contains("budget: a ladder gives each arm its own tokens") &&
                          Contains("equal_parameters: a ladder gives sizes of its own") &&
                          Contains("cannot set train.max_steps: ladder.tokens_per_parameter"));
}

TEST_CASE("A ladder that lacks something, or has something else in it, is refused with its line") {
  const BaseRunFolder folder;
  CHECK_THAT(folder.refusal("ladder: {tokens_per_parameter: [10]}\n"),
             Contains("sweep.yaml:4: ladder.sizes: missing") &&
                 Contains("ladder.learning_rates: missing"));
  CHECK_THAT(folder.refusal("ladder: {sizes: {s: {}}, tokens_per_parameter: [10, 0], "
                            "learning_rates: [fast], rates: [1]}\n"),
             Contains("ladder.tokens_per_parameter: ") && Contains("ladder.learning_rates: ") &&
                 Contains("ladder.rates"));
  CHECK_THAT(folder.refusal("ladder: {sizes: [1], tokens_per_parameter: [10], learning_rates: "
                            "[1.0e-3]}\n"),
             Contains("ladder.sizes: must be a map of named settings"));
  CHECK_THAT(folder.refusal("ladder: [1]\n"), Contains("ladder: must be a map"));
  CHECK_THAT(folder.refusal("ladder: {sizes: {s: {}}, tokens_per_parameter: [10, 10], "
                            "learning_rates: [1.0e-3]}\n"),
             Contains("two values would be called 10-per-parameter"));
}

TEST_CASE("Tokens per parameter may be in quotes, or a variable") {
  const BaseRunFolder folder;
  ::setenv("ZEBRA_TEST_TOKENS", "1e1", 1);
  for (const char* text : {"10", "\"10\"", "\"${ZEBRA_TEST_TOKENS}\""}) {
    const auto arms = folder.arms("ladder: {sizes: {s: {}}, tokens_per_parameter: [" +
                                  std::string(text) + "], learning_rates: [1.0e-3]}\n");
    CHECK(arms.front().ladder->tokens_per_parameter == 10);
  }
}

TEST_CASE("Each size of a ladder has its cost measured with its own layouts") {
  const BaseRunFolder folder;
  const auto runs = cost_runs(folder.sweep(kLayouts + kLadder + "cost_lengths: [128]\n"));
  REQUIRE(runs.size() == 2);
  CHECK(runs[0].size == "small");
  CHECK(runs[1].arm == "full_large_10-per-parameter_1.0e-3-lr_seed-1");
  CHECK(runs[1].patterns == std::vector<std::string>{"GGGG", "GLGL"});
  CHECK(runs[1].output == folder / "out/cost-large.json");
  const auto plain = cost_runs(folder.sweep(kLayouts));
  REQUIRE(plain.size() == 1);
  CHECK(plain[0].output == folder / "out/cost.json");
  CHECK(plain[0].patterns == std::vector<std::string>{"GGGG", "GLGL"});
}

TEST_CASE("results.json tells where each arm stands, and what each size cost") {
  const BaseRunFolder folder;
  const Sweep sweep = folder.sweep(kLayouts + kLadder + "cost_lengths: [128]\n");
  for (const auto& arm : sweep.arms)
    std::filesystem::create_directories(folder / "out/arms" / arm.name);
  write_text(folder / "out/cost-small.json", R"({"rows": [1]})");
  const auto results = results_json(sweep, collect_results(sweep));
  CHECK(results["budget"] == "");
  CHECK(results["ladder"]["longest_length"] == 128);
  CHECK(results["ladder"]["cost"]["small"]["rows"][0] == 1);
  CHECK(results["ladder"]["cost"]["large"].is_null());
  CHECK(results["cost"].is_null());
  const auto& last = results["arms"].back();
  CHECK(last["group"] == "mixed_large_2.5-per-parameter_3.0e-3-lr");
  CHECK(last["ladder"]["layout"] == "mixed");
  CHECK(last["ladder"]["size"] == "large");
  CHECK(last["ladder"]["tokens_per_parameter"] == 2.5);
  CHECK(last["ladder"]["learning_rate"] == 3e-3);
  CHECK(last["ladder"]["parameters"] == parameters_of(48));
  // Keys and values of 48 in two bytes: two layers of 128 tokens, two of 7 previous ones and
  // itself.
  CHECK(last["ladder"]["key_value_cache_bytes"] == 2 * 2 * 48 * (2 * 128 + 2 * 8));
  CHECK_FALSE(results_json(folder.sweep(kLayouts), SweepResults{std::vector<ArmResult>(4), {""}})
                  .contains("ladder"));
}
