#include "ablation/sweep.h"

#include "ablation/base_run_folder.h"
#include "config/load.h"
#include "support/catch.h"

using namespace zebra;
using namespace zebra::testing;
using Catch::Matchers::Contains;

using Names = std::vector<std::string>;

namespace {

// 48 wide, 80 inside, 4 layers GLLL with 7 previous tokens, 6 heads of 8, steps of 12 x 64 tokens.
Config config_with(const std::vector<std::string>& overrides = {}) {
  return resolve(
      parse_run_file("run: {dir: r}\n"
                     "model: {hidden_size: 48, intermediate_size: 80, num_hidden_layers: 4, "
                     "num_attention_heads: 6, vocab_size: 100, window_size: 7}\n"
                     "data: {tokenizer: t, train: [{path: a}], sequence_length: 64}\n"
                     "schedule: {warmup_steps: 3}\n"
                     "train: {max_steps: 20, global_batch_size: 12}\n",
                     "run.yaml", overrides));
}

std::int64_t steps_after(Budget budget, const std::vector<std::string>& overrides) {
  Config config = config_with(overrides);
  match_budget(config, budget, arm_cost(config_with()));
  return config.train.max_steps;
}

std::int64_t size_after(std::int64_t layers) {
  Config config = config_with({"model.num_hidden_layers=" + std::to_string(layers)});
  match_parameters(config, arm_cost(config_with()).parameters);
  return config.model.intermediate_size;
}

}  // namespace

TEST_CASE("The cost of an arm follows from its shape") {
  const ArmCost cost = arm_cost(config_with());
  // Embedding and head 100 x 48 each; 4 layers of 48 x (144 + 48) and 3 x 48 x 80; 9 norms of 48.
  CHECK(cost.parameters == 9600 + 36864 + 46080 + 432);
  CHECK(cost.steps == 20);
  CHECK(cost.tokens == 20 * 12 * 64);
  // Forward: projections, feed-forward, one global layer (32.5 keys), three local ones (484 / 64
  // keys), head.
  const double forward = 73728 + 92160 + 4 * 48 * 32.5 + 3 * 4 * 48 * 7.5625 + 9600;
  CHECK(forward == 186084);
  CHECK(cost.flops_per_token == Approx(3 * forward).epsilon(1e-12));
  CHECK(cost.flops == Approx(3 * forward * 15360).epsilon(1e-12));
}

TEST_CASE("Equal tokens change the steps where steps read other numbers of tokens") {
  CHECK(steps_after(Budget::tokens, {}) == 20);
  CHECK(steps_after(Budget::tokens, {"data.sequence_length=32"}) == 40);
  CHECK(steps_after(Budget::tokens, {"data.sequence_length=100"}) == 13);    // 12.8
  CHECK(steps_after(Budget::tokens, {"train.global_batch_size=13"}) == 18);  // 18.46
  CHECK(steps_after(Budget::tokens, {"model.self_attn_type=full"}) == 20);
  CHECK(steps_after(Budget::tokens, {"train.global_batch_size=4000"}) == 1);  // 0.06
  CHECK(steps_after(Budget::steps, {"data.sequence_length=32"}) == 20);
}

TEST_CASE("Equal FLOPs give a cheaper arm more steps") {
  CHECK(steps_after(Budget::flops, {}) == 20);
  // 20 x 186084 / 200448 = 18.57; 20 x 186084 / 181296 = 20.53.
  CHECK(steps_after(Budget::flops, {"model.self_attn_type=full"}) == 19);
  CHECK(steps_after(Budget::flops, {"model.self_attn_type=local"}) == 21);
  // Half the batch, twice the steps.
  CHECK(steps_after(Budget::flops, {"train.global_batch_size=6"}) == 40);
  CHECK(steps_after(Budget::flops, {"train.global_batch_size=4000"}) == 1);
}

TEST_CASE("Warm-ups and decay stay in proportion to the steps") {
  Config config = config_with({"data.sequence_length=16", "schedule.type=wsd",
                               "schedule.decay_steps=5", "schedule.window_warmup_steps=9"});
  match_budget(config, Budget::tokens, arm_cost(config_with()));
  CHECK(config.train.max_steps == 80);
  CHECK(config.schedule.warmup_steps == 12);
  CHECK(config.schedule.decay_steps == 20);
  CHECK(config.schedule.window_warmup_steps == 36);

  config = config_with({"data.sequence_length=128"});
  match_budget(config, Budget::tokens, arm_cost(config_with()));
  CHECK(config.train.max_steps == 10);
  CHECK(config.schedule.warmup_steps == 2);  // 1.5
  CHECK_FALSE(config.schedule.decay_steps.has_value());
}

TEST_CASE("FLOPs are those of the windows that each step has") {
  const Config growing =
      config_with({"model.window_schedule=[{until: 0.5, window: 1}, {until: 0.75, window: 3}]"});
  const auto flops_of = [](const std::string& window) {
    return arm_cost(config_with({"model.window_size=" + window})).flops;
  };
  const double expected = (10 * flops_of("1") + 5 * flops_of("3") + 5 * flops_of("7")) / 20;
  CHECK(arm_cost(growing).flops == Approx(expected).epsilon(1e-12));
  CHECK(expected < flops_of("7"));
}

TEST_CASE("Equal FLOPs give a growing window more steps, with its stages in proportion") {
  Config fractions =
      config_with({"train.max_steps=200", "data.sequence_length=1024", "model.window_size=700",
                   "model.window_schedule=[{until: 0.5, window: 3}]"});
  Config steps =
      config_with({"train.max_steps=200", "data.sequence_length=1024", "model.window_size=700",
                   "model.window_schedule=[{until: 100, window: 3}]"});
  const auto base = arm_cost(
      config_with({"train.max_steps=200", "data.sequence_length=1024", "model.window_size=700"}));
  for (Config* config : {&fractions, &steps}) {
    match_budget(*config, Budget::flops, base);
    CHECK(config->train.max_steps > 210);
    CHECK(arm_cost(*config).flops ==
          Approx(base.flops).epsilon(1.0 / static_cast<double>(config->train.max_steps)));
  }
  CHECK(fractions.train.max_steps == steps.train.max_steps);
  CHECK(fractions.model.window_schedule[0].until.fraction == 0.5);
  CHECK(std::abs(2 * steps.model.window_schedule[0].until.step - steps.train.max_steps) <= 1);
}

TEST_CASE("Stages of the data keep their proportion") {
  Config config = config_with({"data.stages=[{until: 5, train: [{path: /a}]}]"});
  match_budget(config, Budget::tokens, arm_cost(config_with({"train.max_steps=40"})));
  REQUIRE(config.train.max_steps == 40);
  CHECK(config.data.stages[0].until.step == 10);
}

TEST_CASE("Stretched stages are valid ones, and go where no step is left for them") {
  const Config original = config_with(
      {"model.window_schedule=[{until: 2, window: 1}, {until: 3, window: 2}, {until: 19, window: "
       "5}]"});
  const auto stages_after = [&](int steps) {
    Config config = original;
    ArmCost base;
    base.tokens = steps * 12 * 64;
    match_budget(config, Budget::tokens, base);
    REQUIRE(config.train.max_steps == steps);
    REQUIRE_NOTHROW(parse_run_file(to_yaml(config), "stretched"));
    std::vector<std::pair<std::int64_t, std::int64_t>> stages;
    for (const auto& stage : config.model.window_schedule)
      stages.emplace_back(stage.until.step, stage.window);
    return stages;
  };
  using Stages = std::vector<std::pair<std::int64_t, std::int64_t>>;
  CHECK(stages_after(40) == Stages{{4, 1}, {6, 2}, {38, 5}});
  CHECK(stages_after(10) == Stages{{1, 1}, {2, 2}, {9, 5}});
  CHECK(stages_after(5) == Stages{{1, 1}, {4, 5}});
  CHECK(stages_after(2) == Stages{{1, 5}});
  CHECK(stages_after(1) == Stages{});
}

TEST_CASE("An axis of schedules, as named settings or as values of the key") {
  const BaseRunFolder folder;
  const auto named = folder.arms(
      "axes:\n"
      "  growth:\n"
      "    at-once: {}\n"
      "    two-stages: {model.window_schedule: [{until: 0.25, window: 2}, {until: 0.5, window: "
      "4}]}\n"
      "    linear: {schedule.window_warmup_steps: 9}\n"
      "budget: flops\n");
  CHECK(names_of_arms(named) == Names{"at-once_seed-4", "two-stages_seed-4", "linear_seed-4"});
  CHECK(named.at(0).config.train.max_steps == 20);
  REQUIRE(named.at(1).config.model.window_schedule.size() == 2);
  CHECK(named.at(1).config.model.window_schedule[1].window == 4);
  CHECK(named.at(1).cost.flops_per_token < named.at(0).cost.flops_per_token);
  CHECK(named.at(2).cost.flops_per_token < named.at(0).cost.flops_per_token);

  const auto values =
      folder.arms("axes: {model.window_schedule: [null, [{until: 5, window: 2}]]}\n");
  CHECK(names_of_arms(values) ==
        Names{"window_schedule-default_seed-4", "window_schedule-5-2_seed-4"});
  CHECK(folder.refusal("axes:\n"
                       "  growth:\n"
                       "    wide: {model.window_schedule: [{until: 0.25, window: 9}]}\n"
                       "    late: {model.window_schedule: [{until: 20, window: 3}]}\n") ==
        "arm wide_seed-4: sweep.yaml:6: model.window_schedule[0].window: 9 is more than "
        "model.window_size (7), the widest that a layer is trained with; lower it, or raise that\n"
        "arm late_seed-4: sweep.yaml:7: model.window_schedule[0].until: 20 must be below "
        "train.max_steps (20), or nothing would be trained with model.window_size; lower it");
  CHECK_THAT(folder.refusal("axes: {model.self_attn_type: [full]}\n"
                            "arms: {grows: {model.window_schedule: [{until: 5, window: 2}]}, does "
                            "not: {}}\n"),
             Contains("are the same run"));
}

TEST_CASE("A stretched schedule is a valid one, whatever is rounded") {
  for (const std::string decay : {"", "1", "3", "8"}) {
    for (int old_steps = 1; old_steps <= 14; ++old_steps) {
      for (int warmup = 0; warmup <= old_steps; ++warmup) {
        std::vector<std::string> overrides = {"train.max_steps=" + std::to_string(old_steps),
                                              "schedule.warmup_steps=" + std::to_string(warmup),
                                              "schedule.type=wsd"};
        if (!decay.empty()) overrides.push_back("schedule.decay_steps=" + decay);
        Config original;
        try {
          original = config_with(overrides);
        } catch (const InputError&) {
          continue;  // no such run to begin with
        }
        for (const int steps : {1, 2, 5, 13, 15, 29}) {
          Config config = original;
          ArmCost base;
          base.tokens = steps * 12 * 64;
          match_budget(config, Budget::tokens, base);
          CAPTURE(decay, old_steps, warmup, steps);
          REQUIRE(config.train.max_steps == steps);
          REQUIRE_NOTHROW(parse_run_file(to_yaml(config), "stretched"));
        }
      }
    }
  }
}

TEST_CASE("Equal parameters choose the nearest multiple of 8") {
  CHECK(size_after(4) == 80);
  CHECK(size_after(2) == 224);  // (92976 - 28272) / 288 = 224.7
  CHECK(size_after(3) == 128);  // (92976 - 37584) / 432 = 128.2
  CHECK(size_after(6) == 32);   // (92976 - 65520) / 864 = 31.8
}

TEST_CASE("A size that is no multiple of 8 stays where the parameters are equal") {
  Config config = config_with({"model.intermediate_size=81", "model.self_attn_type=full"});
  match_parameters(config, arm_cost(config).parameters);
  CHECK(config.model.intermediate_size == 81);
}

TEST_CASE("Parameters that no size can match are refused") {
  CHECK(size_after(8) == 8);  // (92976 - 84144) / 1152 = 7.7
  CHECK_THROWS_WITH(size_after(9),
                    Contains("has 103,824 parameters") && Contains("against the 92,976"));
}
