#include "ablation/combinations.h"

#include "config/read_yaml.h"
#include "support/catch.h"

using namespace zebra;

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
