#include "config/window_schedule.h"

#include "config/run_file.h"
#include "support/catch.h"

using namespace zebra;
using Catch::Matchers::Contains;

namespace {

/// A run of 1,000 steps whose window_size is 512.
Config run_with(std::vector<std::string> overrides) {
  overrides.insert(overrides.begin(),
                   {"train.max_steps=1000", "model.window_size=512", "model.vocab_size=100"});
  return resolve(config_with(overrides));
}

std::string schedule(const std::string& stages) { return "model.window_schedule=" + stages; }

}  // namespace

TEST_CASE("Without a schedule the window is window_size at every step") {
  const Config config = run_with({});
  CHECK_FALSE(window_moves(config));
  CHECK(window_at(config, 1) == 512);
  CHECK(window_at(config, 1000) == 512);
}

TEST_CASE("A stage holds up to and including its last step, given either way") {
  const std::string stages = GENERATE("[{until: 0.25, window: 64}, {until: 0.5, window: 200}]",
                                      "[{until: 250, window: 64}, {until: 5e2, window: 200}]");
  const Config config = run_with({schedule(stages)});
  CHECK(window_moves(config));
  CHECK(window_at(config, 1) == 64);
  CHECK(window_at(config, 250) == 64);
  CHECK(window_at(config, 251) == 200);
  CHECK(window_at(config, 500) == 200);
  CHECK(window_at(config, 501) == 512);
  CHECK(window_at(config, 1000) == 512);
  CHECK(window_span_at(config, 3).last_step == 250);
  CHECK(window_span_at(config, 251).last_step == 500);
  CHECK(window_span_at(config, 501).last_step > 1000);
}

TEST_CASE("Fractions follow train.max_steps, steps stay") {
  const auto first_wide_step = [](const std::string& until, const std::string& max_steps) {
    const Config config = run_with(
        {schedule("[{until: " + until + ", window: 64}]"), "train.max_steps=" + max_steps});
    return window_span_at(config, 1).last_step + 1;
  };
  CHECK(first_wide_step("0.25", "1000") == 251);
  CHECK(first_wide_step("0.25", "2000") == 501);
  CHECK(first_wide_step("0.29", "100") == 30);  // 0.29 x 100 is a little less than 29 in binary
  CHECK(first_wide_step("0.25", "10") == 4);    // 2.5
  CHECK(first_wide_step("250", "1000") == 251);
  CHECK(first_wide_step("250", "2000") == 251);
}

TEST_CASE("The warm-up grows linearly from 1 to the full width") {
  const auto at = [](std::int64_t window, std::int64_t steps, std::int64_t step) {
    Config config;
    config.model.window_size = window;
    config.schedule.window_warmup_steps = steps;
    return window_at(config, step);
  };
  CHECK(at(512, 0, 1) == 512);
  CHECK(at(512, 10, 1) == 51);
  CHECK(at(512, 10, 9) == 460);
  CHECK(at(512, 10, 10) == 512);
  CHECK(at(512, 10, 1000) == 512);
  CHECK(at(3, 10, 1) == 1);
  CHECK(at(3, 10, 4) == 1);
  CHECK(at(3, 10, 7) == 2);
  CHECK(at(0, 10, 1) == 0);
}

TEST_CASE("A span ends just before the warm-up's next width") {
  for (const std::int64_t window : {0, 1, 2, 3, 7, 12, 40}) {
    for (const std::int64_t steps : {0, 1, 2, 5, 12, 13, 36, 100}) {
      Config config;
      config.model.window_size = window;
      config.schedule.window_warmup_steps = steps;
      for (std::int64_t step = 1; step <= steps + 2; ++step) {
        CAPTURE(window, steps, step);
        const auto linear = std::max(std::min<std::int64_t>(window, 1),
                                     step < steps ? window * step / steps : window);
        const auto [now, last_step] = window_span_at(config, step);
        REQUIRE(now == linear);
        REQUIRE(last_step >= step);
        REQUIRE(window_at(config, std::min(last_step, steps + 2)) == now);
        if (last_step < steps && window > 1) REQUIRE(window_at(config, last_step + 1) > now);
      }
    }
  }
}

TEST_CASE("Where no layer is local, no window moves") {
  CHECK_FALSE(window_moves(
      run_with({"model.self_attn_type=full", schedule("[{until: 0.5, window: 64}]")})));
  CHECK(window_moves(run_with({"schedule.window_warmup_steps=3"})));
}

TEST_CASE("Bad stages are refused all at once, each at its line") {
  const std::string refusal = refusal_of(
      "run: {dir: runs/odd}\n"
      "model:\n"
      "  {hidden_size: 48, intermediate_size: 80, num_hidden_layers: 5, num_attention_heads: 6,\n"
      "   window_size: 7, window_schedule: [\n"
      "     {until: 0.5, window: 0},\n"
      "     {until: 0.25, window: 4},\n"
      "     {until: 1.0, window: 4},\n"
      "     {until: 3, widow: 4},\n"
      "     {until: 21, window: 8}]}\n"
      "data: {tokenizer: tok.model, train: [{path: data/a}], sequence_length: 33}\n"
      "train: {max_steps: 21, global_batch_size: 12}\n");
  CHECK(refusal ==
        "run.yaml:5: model.window_schedule[0].window: must be at least 1, not 0\n"
        "run.yaml:6: model.window_schedule[1].until: 0.25 must be greater than that of the stage "
        "before (0.5)\n"
        "run.yaml:7: model.window_schedule[2].until: must be a fraction of train.max_steps between "
        "0 and 1, or a whole number of steps, not 1.0\n"
        "run.yaml:8: model.window_schedule[3].widow: unknown key; did you mean window?\n"
        "run.yaml:9: model.window_schedule[4].until: 21 must be below train.max_steps (21), or "
        "nothing would be trained with model.window_size; lower it\n"
        "run.yaml:9: model.window_schedule[4].window: 8 is more than model.window_size (7), the "
        "widest that a layer is trained with; lower it, or raise that");
}

TEST_CASE("A list of another form, and points that are none, are refused") {
  CHECK_THAT(refusal_with({schedule("{until: 3, window: 4}")}),
             Contains("must be a list of maps, such as [{until: 0.5, window: 128}], not a map"));
  CHECK_THAT(refusal_with({schedule("[4]")}),
             Contains("must be a map, such as {until: 0.5, window: 128}, not \"4\""));
  CHECK_THAT(refusal_with({schedule("[{window: 4}]")}),
             Contains("window_schedule[0].until: missing, and it has no default"));
  for (const std::string until : {"0", "-3", "1.5", "half", "0.0", "inf"}) {
    CHECK_THAT(refusal_with({schedule("[{until: " + until + ", window: 4}]")}),
               Contains("until: must be a fraction of train.max_steps between 0 and 1, or a whole "
                        "number of steps, not " +
                        until));
  }
  CHECK_THAT(refusal_with({schedule("[{until: 0.5, window: 4}, {until: 12, window: 5}]")}),
             Contains("[1].until: 12 after 0.5: some stages give a fraction of train.max_steps and "
                      "some a step; give all in the same way"));
  CHECK_THAT(refusal_with({schedule("[{until: 5, window: 4}, {until: 5, window: 5}]")}),
             Contains("[1].until: 5 must be greater than that of the stage before (5)"));
}

TEST_CASE("Stages and the linear warm-up are refused together") {
  CHECK_THAT(refusal_with({schedule("[{until: 5, window: 4}]"), "schedule.window_warmup_steps=2"}),
             Contains("model.window_schedule: and schedule.window_warmup_steps both say how the "
                      "window grows; remove one of them"));
}

TEST_CASE("The resolved file holds the stages as they were written") {
  const RunFile file =
      config_with({schedule("[{until: 0.3, window: 2}, {until: 5e-1, window: 3}]")});
  CHECK_THAT(to_yaml(file),
             Contains("\n  window_size: 7\n  window_schedule:\n    - {until: 0.3, window: 2}\n"
                      "    - {until: 0.5, window: 3}\n"));
  CHECK(parse_run_file(to_yaml(file), "again").model.window_schedule == file.model.window_schedule);
  CHECK_THAT(to_yaml(config_with({schedule("[{until: 1e1, window: 3}]")})),
             Contains("    - {until: 10, window: 3}\n"));
  for (const std::string none : {"", "[]"}) {
    CHECK_THAT(to_yaml(config_with({schedule("[{until: 3, window: 4}]"), schedule(none)})),
               !Contains("window_schedule"));
  }
}

TEST_CASE("A resumed run must not change the stages") {
  CHECK_FALSE(may_change_on_resume("model.window_schedule"));
  const auto changes = differences(run_with({}), run_with({schedule("[{until: 3, window: 4}]")}));
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].key == "model.window_schedule");
  CHECK(changes[0].before == "(absent)");
  CHECK(changes[0].after == "[{until: 3, window: 4}]");
}
