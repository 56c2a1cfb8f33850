#include "ablation/arm_budget.h"

#include "config/load.h"
#include "support/catch.h"

using namespace zebra;

namespace {

// 48 wide, 80 inside, 4 layers GLLL with 7 previous tokens, 6 heads of 8, steps of 12 x 64 tokens.
Config config_with(const std::vector<std::string>& overrides = {}) {
  return resolve(
      parse_run_file("run: {dir: r}\n"
                     "model: {hidden_size: 48, intermediate_size: 80, num_hidden_layers: 4, "
                     "num_attention_heads: 6, window_size: 7}\n"
                     "data: {tokenizer: t, train: [{path: a}], sequence_length: 64}\n"
                     "schedule: {warmup_steps: 3}\n"
                     "train: {max_steps: 20, global_batch_size: 12}\n",
                     "run.yaml", overrides),
      100);
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
  CHECK_THROWS_WITH(size_after(9), Catch::Matchers::Contains("has 103,824 parameters") &&
                                       Catch::Matchers::Contains("against the 92,976"));
}
