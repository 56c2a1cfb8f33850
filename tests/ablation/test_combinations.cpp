#include "ablation/combinations.h"

#include "ablation/base_run_folder.h"
#include "config/read_yaml.h"
#include "support/catch.h"

using namespace zebra;
using namespace zebra::testing;

namespace {

struct Combined {
  std::vector<Combination> combinations;
  std::vector<std::string> problems;

  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const Combination& combination : combinations) found.push_back(combination.name());
    return found;
  }
};

Combined combine(const std::string& yaml, const std::string& base_seed = "1") {
  Report report({"s.yaml"});
  const Grid grid = read_grid(parse_yaml(yaml, "s.yaml"), report);
  report.throw_if_any();
  Problems problems;
  Combined result;
  result.combinations = combinations_of(grid, base_seed, problems);
  result.problems = problems.all();
  return result;
}

using Names = std::vector<std::string>;

SweepFile sweep_of(const BaseRunFolder& folder, const std::string& lines) {
  Problems problems;
  SweepFile sweep = read_sweep_file(folder.text(lines), "sweep.yaml", problems);
  problems.throw_if_any();
  return sweep;
}

std::string refusal_of_first_arm(const BaseRunFolder& folder, const std::string& lines) {
  const SweepFile sweep = sweep_of(folder, lines);
  Problems problems;
  const auto combinations = combinations_of(sweep.grid, "1", problems);
  try {
    load_arm(sweep, combinations.at(0));
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("Axes combine as a grid, seeds innermost wherever they stand") {
  const auto grid = combine(
      "axes:\n"
      "  run.seed: [3, 1]\n"
      "  model.layer_group_size: [1, 2]\n"
      "zip: {model.window_size: [8], optimizer.lr: [1e-3]}\n"
      "arms: {a: {}, b: {model.qk_norm: true}}\n");
  CHECK(grid.problems.empty());
  CHECK(grid.names() == Names{"layer_group_size-1_window_size-8_lr-1e-3_a_seed-3",
                              "layer_group_size-1_window_size-8_lr-1e-3_a_seed-1",
                              "layer_group_size-1_window_size-8_lr-1e-3_b_seed-3",
                              "layer_group_size-1_window_size-8_lr-1e-3_b_seed-1",
                              "layer_group_size-2_window_size-8_lr-1e-3_a_seed-3",
                              "layer_group_size-2_window_size-8_lr-1e-3_a_seed-1",
                              "layer_group_size-2_window_size-8_lr-1e-3_b_seed-3",
                              "layer_group_size-2_window_size-8_lr-1e-3_b_seed-1"});
  REQUIRE(grid.combinations.size() == 8);
  const Combination& seventh = grid.combinations[6];
  CHECK(seventh.group == "layer_group_size-2_window_size-8_lr-1e-3_b");
  std::vector<std::string> keys;
  for (const Setting& setting : seventh.settings) keys.push_back(setting.key + "=" + setting.value);
  CHECK(keys == Names{"model.layer_group_size=2", "model.window_size=8", "optimizer.lr=1e-3",
                      "model.qk_norm=true", "run.seed=3"});
}

TEST_CASE("Without other axes the group is the base, without seeds there is the base's") {
  CHECK(combine("axes: {run.seed: [1, 2]}\n").names() == Names{"base_seed-1", "base_seed-2"});
  CHECK(combine("axes: {model.window_size: [8]}\n", "7").names() == Names{"window_size-8_seed-7"});
}

TEST_CASE("Names are safe for folders") {
  CHECK(combine("arms: {'7:1 (wide)': {model.layer_group_size: 8}}\n").names() ==
        Names{"7-1--wide-_seed-1"});
}

TEST_CASE("Exclusions leave out what matches all of their conditions") {
  const std::string axes =
      "axes: {model.layer_group_size: [1, 2, 4], model.window_size: [8, 16], run.seed: [1, 2]}\n";
  CHECK(combine(axes + "exclude: [{model.layer_group_size: [1.0, 4], model.window_size: 16}]\n")
            .names() ==
        Names{"layer_group_size-1_window_size-8_seed-1", "layer_group_size-1_window_size-8_seed-2",
              "layer_group_size-2_window_size-8_seed-1", "layer_group_size-2_window_size-8_seed-2",
              "layer_group_size-2_window_size-16_seed-1",
              "layer_group_size-2_window_size-16_seed-2", "layer_group_size-4_window_size-8_seed-1",
              "layer_group_size-4_window_size-8_seed-2"});
  CHECK(combine(axes + "exclude: [{model.layer_group_size: [1, 2]}, {model.window_size: 16, "
                       "run.seed: 1}]\n")
            .names() == Names{"layer_group_size-4_window_size-8_seed-1",
                              "layer_group_size-4_window_size-8_seed-2",
                              "layer_group_size-4_window_size-16_seed-2"});
}

TEST_CASE("Exclusions match named settings by label and by what they set") {
  const std::string axes =
      "axes:\n"
      "  attention: {full: {model.self_attn_type: full}, '3:1': {model.layer_group_size: 4}}\n"
      "  model.window_size: [8, 16]\n";
  CHECK(
      combine(axes + "exclude: [{attention: full, model.window_size: 16}]\n").names() ==
      Names{"full_window_size-8_seed-1", "3-1_window_size-8_seed-1", "3-1_window_size-16_seed-1"});
  CHECK(combine(axes + "exclude: [{model.self_attn_type: full}, {attention: '3:1', "
                       "model.window_size: 8}]\n")
            .names() == Names{"3-1_window_size-16_seed-1"});
}

TEST_CASE("Exclusions match equal numbers however they are written, and text as it is") {
  const auto names = [](const std::string& values, const std::string& excluded) {
    return combine("axes: {run.seed: [1], train.max_steps: " + values +
                   "}\nexclude: " + "[{train.max_steps: " + excluded + "}]\n")
        .names();
  };
  for (const std::string eight : {"8", "+8", "8.0", "'8'"}) {
    CHECK(names("[8, 9]", eight) == Names{"max_steps-9_seed-1"});
  }
  CHECK(names("[1000, 9]", "1e3") == Names{"max_steps-9_seed-1"});
  CHECK(names("[9007199254740992, 9007199254740993]", "9007199254740992") ==
        Names{"max_steps-9007199254740993_seed-1"});
  CHECK(names("[GLLL, GL]", "GL") == Names{"max_steps-GLLL_seed-1"});
}

TEST_CASE("An exclusion that matches nothing, or everything, is refused") {
  const std::string axes = "axes: {model.layer_group_size: [1, 2]}\n";
  CHECK(
      combine(axes + "exclude:\n  - {model.layer_group_size: 1}\n  - {model.layer_group_size: "
                     "3}\n")
          .problems ==
      Names{"s.yaml:4: exclude[1]: matches no combination of the axes; correct it, or remove it"});
  CHECK(combine(axes + "exclude:\n  - {model.layer_group_size: 1}\n  - {model.layer_group_size: "
                       "[1, 2]}\n")
            .problems ==
        Names{"s.yaml:3: exclude: leaves no combination of the axes; remove a rule"});
}

TEST_CASE("Names that two arms would share, or that are too long, are refused") {
  const auto shared = combine(
      "axes:\n"
      "  a: {x: {optimizer.lr: 1}, x_y: {optimizer.lr: 2}}\n"
      "  b: {y_z: {model.window_size: 1}, z: {model.window_size: 2}}\n");
  REQUIRE(shared.problems.size() == 1);
  CHECK(shared.problems[0].find("two arms would be called x_y_z_seed-1") == 0);

  const std::string longest(193, 'a');  // and "_seed-1"
  CHECK(combine("arms: {" + longest + ": {}}\n").problems.empty());
  const auto too_long = combine("arms: {" + longest + "b: {}}\n");
  REQUIRE(too_long.problems.size() == 1);
  CHECK(too_long.problems[0].find("has a name of 201 letters") != std::string::npos);
}

TEST_CASE("A grid that nobody can mean is refused before it is formed") {
  std::string values = "[1";
  for (int i = 2; i <= 101; ++i) values += ", " + std::to_string(i);
  const std::string axes = "axes: {model.window_size: " + values + "], ";
  CHECK(combine(axes + "train.global_batch_size: " + values + "]}\n").problems ==
        Names{"the axes have more than 10000 combinations; give fewer axes or values"});
  CHECK(combine(axes + "model.layer_group_size: [1, 2]}\n").combinations.size() == 202);
}

TEST_CASE("The seed of the base is what its files give, in the end") {
  const BaseRunFolder folder;
  write_text(folder / "more.yaml", "run: {seed: 11}\n");
  SweepFile sweep = sweep_of(folder, "axes: {model.window_size: [1, 2]}\n");
  Problems problems;
  CHECK(seed_of_base(read_base(sweep, problems)) == "4");
  sweep.base.push_back((folder / "more.yaml").string());
  CHECK(seed_of_base(read_base(sweep, problems)) == "11");
  CHECK(problems.empty());
  CHECK(seed_of_base(Value{}) == "1");
}

TEST_CASE("All base files that cannot be read are named") {
  const BaseRunFolder folder;
  SweepFile sweep = sweep_of(folder, "axes: {model.window_size: [1, 2]}\n");
  write_text(folder / "bad.yaml", "run: {seed: [\n");
  sweep.base = {(folder / "absent.yaml").string(), (folder / "bad.yaml").string()};
  Problems problems;
  read_base(sweep, problems);
  REQUIRE(problems.all().size() == 2);
  CHECK(problems.all()[0].find("absent.yaml") != std::string::npos);
  CHECK(problems.all()[1].find("bad.yaml:2: not valid YAML") != std::string::npos);
}

TEST_CASE("An arm's run has the base's keys, the settings, and a folder of its own") {
  const BaseRunFolder folder;
  const SweepFile sweep = sweep_of(
      folder, "arms: {a: {model.window_size: 3, optimizer.betas: [0.8, 0.9], run.device: cpu}}\n");
  Problems problems;
  const Config config = load_arm(sweep, combinations_of(sweep.grid, "4", problems).at(0));
  CHECK(config.model.hidden_size == 48);
  CHECK(config.model.window_size == 3);
  CHECK(config.optimizer.betas == std::array<double, 2>{0.8, 0.9});
  CHECK(config.run.device == Device::cpu);
  CHECK(config.run.seed == 4);
  CHECK(config.run.name == "a_seed-4");
  CHECK(config.run.dir == folder / "out/arms/a_seed-4");
  CHECK(load_base(sweep).model.window_size == 7);
}

TEST_CASE("Problems of settings stand at their place in the sweep file") {
  const BaseRunFolder folder;
  CHECK(refusal_of_first_arm(folder, "axes:\n  model.window_size: [-1]\n") ==
        "sweep.yaml:5: model.window_size: must be at least 0, not -1");
  CHECK(refusal_of_first_arm(folder,
                             "arms:\n"
                             "  a:\n"
                             "    model.self_attn_type: 'fu=ll: x'\n"
                             "    train.max_steps: many\n") ==
        "sweep.yaml:6: model.self_attn_type: \"fu=ll: x\" is not one of mix, full, local\n"
        "sweep.yaml:7: train.max_steps: \"many\" is not an integer");
  const std::string of_base =
      refusal_of_first_arm(folder, "axes:\n  train.global_batch_size: [12, 13]\n");
  CHECK(of_base == "accepted");
}

TEST_CASE("Short forms beside a pattern in the base are refused once for each place") {
  std::string base = kBaseRun;
  base.replace(base.find("window_size: 7"), 14, "window_size: 7, attention_pattern: GLG");
  const BaseRunFolder folder(base);
  const auto problems_with = [&](const std::string& lines) {
    const SweepFile sweep = sweep_of(folder, lines);
    Problems problems;
    check_base_pattern(read_base(sweep, problems), combinations_of(sweep.grid, "1", problems),
                       problems);
    return problems.all();
  };
  const auto found =
      problems_with("axes:\n  model.layer_group_size: [1, 2]\n  optimizer.lr: [1e-3, 2e-3]\n");
  REQUIRE(found.size() == 1);
  CHECK(found[0].find("sweep.yaml:5: model.layer_group_size: has no effect, because ") == 0);
  CHECK(found[0].find("base.yaml:2 gives model.attention_pattern") != std::string::npos);
  CHECK(
      problems_with("arms: {a: {model.attention_pattern: , model.layer_group_size: 2}}\n").empty());
  CHECK(problems_with("axes: {model.attention_pattern: [G, L]}\n").empty());
}
