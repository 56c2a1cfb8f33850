#include "ablation/advice.h"

#include <nlohmann/json.hpp>

#include "ablation/base_run_folder.h"
#include "support/catch.h"

using namespace zebra;
using namespace zebra::testing;
using Catch::Matchers::Contains;

namespace {

const std::string kLadderOfLayouts =
    "axes: {attention: {full: {model.self_attn_type: full}, local: {model.self_attn_type: local}}, "
    "run.seed: [1, 2]}\n"
    "ladder:\n"
    "  sizes: {small: {model.hidden_size: 24}, large: {}}\n"
    "  tokens_per_parameter: [1, 2]\n"
    "  learning_rates: [1.0e-3]\n";

}  // namespace

TEST_CASE("A question tells once for each layout and size what it costs at the context") {
  const BaseRunFolder folder;
  const Sweep sweep = folder.sweep(kLadderOfLayouts);
  const auto question = question_json(sweep, {.context = 1000, .flops = 2e15, .cache = {}});
  CHECK(question["context"] == 1000);
  CHECK(question["flops"] == 2e15);
  CHECK(question["cache"].is_null());
  REQUIRE(question["costs"].size() == 4);
  const auto& full = question["costs"][1];
  CHECK(full["layout"] == "full");
  CHECK(full["size"] == "large");
  // Three passes of 2 FLOPs for each weight of the blocks and the head, and of 4 x 48 for each of
  // the 500.5 keys that a token sees in each of four layers.
  const double forward = 2.0 * (4 * (4 * 48 * 48 + 3 * 48 * 80) + 48 * 100) + 4 * 4 * 48 * 500.5;
  CHECK(full["training_flops_per_token"].get<double>() == Approx(3 * forward));
  CHECK(full["key_value_cache_bytes"] == 4 * 2 * 2 * 48 * 1000);
  CHECK(question["costs"][3]["key_value_cache_bytes"] == 4 * 2 * 2 * 48 * 8);
}

TEST_CASE("Advice needs a ladder, and an arm that has finished") {
  const BaseRunFolder folder;
  const AdviceQuestion question{.context = 64, .flops = 1e12, .cache = {}};
  CHECK_THROWS_WITH(advise(folder.sweep("axes: {model.window_size: [8, 16]}\n"), question, false),
                    Contains("the sweep has no ladder"));
  CHECK_THROWS_WITH(
      advise(folder.sweep(kLadderOfLayouts), question, false),
      Contains("no arm of the ladder has finished") && Contains((folder / "out").string()));
}
