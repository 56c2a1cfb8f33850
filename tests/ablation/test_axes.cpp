#include "ablation/axes.h"

#include "base/error.h"
#include "config/yaml.h"
#include "support/catch.h"

using namespace zebra;

namespace {

struct ReadGrid {
  Grid grid;
  std::string refusal = "accepted";
};

ReadGrid grid_of(const std::string& yaml) {
  Report report({"s.yaml"});
  ReadGrid result;
  result.grid = read_grid(parse_yaml(yaml, "s.yaml"), report);
  try {
    report.throw_if_any();
  } catch (const InputError& error) {
    result.refusal = error.what();
    CHECK(result.grid.axes.empty());
  }
  return result;
}

std::string refusal(const std::string& yaml) { return grid_of(yaml).refusal; }

std::vector<std::string> labels(const Axis& axis) {
  std::vector<std::string> found;
  for (const AxisValue& value : axis.values) found.push_back(value.label);
  return found;
}

/// "key=value key=value".
std::string settings(const AxisValue& value) {
  std::string text;
  for (const Setting& setting : value.settings) {
    text += (text.empty() ? "" : " ") + setting.key + "=" + setting.value;
  }
  return text;
}

}  // namespace

TEST_CASE("An axis of a key has a label for each value") {
  const auto [grid, refusal] = grid_of(
      "axes:\n"
      "  model.layer_group_size: [1, 2]\n"
      "  optimizer.betas:\n"
      "    - [0.9, 0.95]\n"
      "    - [0.9, 0.99]\n"
      "  model.global_rope_theta: [null, 0]\n");
  REQUIRE(refusal == "accepted");
  REQUIRE(grid.axes.size() == 3);
  CHECK(grid.axes[0].name == "model.layer_group_size");
  CHECK(labels(grid.axes[0]) ==
        std::vector<std::string>{"layer_group_size-1", "layer_group_size-2"});
  CHECK(settings(grid.axes[0].values[1]) == "model.layer_group_size=2");
  CHECK(labels(grid.axes[1]) == std::vector<std::string>{"betas-0.9-0.95", "betas-0.9-0.99"});
  CHECK(settings(grid.axes[1].values[1]) == "optimizer.betas=[0.9, 0.99]");
  CHECK(grid.axes[1].values[1].settings[0].origin.text() == "s.yaml:5");
  CHECK(labels(grid.axes[2]) ==
        std::vector<std::string>{"global_rope_theta-default", "global_rope_theta-0"});
  CHECK(settings(grid.axes[2].values[0]) == "model.global_rope_theta=null");
}

TEST_CASE("Named settings set several keys, or none") {
  const auto [grid, refusal] = grid_of(
      "axes:\n"
      "  attention:\n"
      "    full: {model.self_attn_type: full}\n"
      "    narrow: {model.layer_group_size: 2, model.window_size: 3}\n"
      "arms:\n"
      "  as-is:\n"
      "  slow: {optimizer.lr: 1e-4}\n");
  REQUIRE(refusal == "accepted");
  REQUIRE(grid.axes.size() == 2);
  CHECK(grid.axes[0].name == "attention");
  CHECK(labels(grid.axes[0]) == std::vector<std::string>{"full", "narrow"});
  CHECK(settings(grid.axes[0].values[1]) == "model.layer_group_size=2 model.window_size=3");
  CHECK(grid.axes[1].name == "arms");
  CHECK(settings(grid.axes[1].values[0]).empty());
  CHECK(grid.axes[0].sets_key("model.window_size"));
  CHECK_FALSE(grid.axes[1].sets_key("model.window_size"));
}

TEST_CASE("A zip is one axis") {
  const auto [grid, refusal] = grid_of(
      "zip:\n"
      "  model.window_size: [8, 16]\n"
      "  data.sequence_length: [128, 256]\n");
  REQUIRE(refusal == "accepted");
  REQUIRE(grid.axes.size() == 1);
  CHECK(labels(grid.axes[0]) == std::vector<std::string>{"window_size-8_sequence_length-128",
                                                         "window_size-16_sequence_length-256"});
  CHECK(settings(grid.axes[0].values[1]) == "model.window_size=16 data.sequence_length=256");
}

TEST_CASE("An unknown key of an axis names the nearest one") {
  CHECK(refusal("axes:\n  model.windw_size: [1, 2]\n") ==
        "s.yaml:2: model.windw_size: unknown key; did you mean window_size?");
  CHECK(refusal("axes:\n  window_size: [1, 2]\n") ==
        "s.yaml:2: window_size: unknown key; it belongs in model, as model.window_size");
  CHECK(refusal("axes:\n  model: {window_size: [1, 2]}\n") ==
        "s.yaml:2: model: is a section of run files; write the whole key with dots, such as "
        "model.window_size");
  CHECK(refusal("arms:\n  one: {model.windw_size: 1}\n") ==
        "s.yaml:2: model.windw_size: unknown key; did you mean window_size?");
  CHECK(refusal("zip:\n  model.windw_size: [1]\n") ==
        "s.yaml:2: model.windw_size: unknown key; did you mean window_size?");
  CHECK(refusal("axes:\n  run.dir: [a, b]\n  model.windw_size: [1]\n") ==
        "s.yaml:2: run.dir: cannot be set: each arm's run is named, and put into `dir`, by the "
        "sweep\n"
        "s.yaml:3: model.windw_size: unknown key; did you mean window_size?");
}

TEST_CASE("A sweep may set every key with a value of its own, but for names") {
  const auto refusal_of_key = [](const std::string& key) {
    return refusal("arms: {one: {'" + key + "': }}\n");
  };
  for (const std::string key :
       {"model.window_size", "model.rope_scaling.type", "data.train", "train.max_steps"}) {
    CHECK(refusal_of_key(key) == "accepted");
  }
  for (const std::string key : {"run.dir", "run.name"}) {
    CHECK(refusal_of_key(key) == "s.yaml:1: " + key +
                                     ": cannot be set: each arm's run is named, and put into "
                                     "`dir`, by the sweep");
  }
  CHECK(refusal_of_key("model.rope_scaling.facto") ==
        "s.yaml:1: model.rope_scaling.facto: unknown key; did you mean factor?");
  CHECK(refusal_of_key("model.window_size.x") ==
        "s.yaml:1: model.window_size.x: unknown key; did you mean window_size?");
  CHECK(refusal_of_key("data.train.path").find("data.train.path: unknown key; ") !=
        std::string::npos);
  CHECK(refusal_of_key("model.sliding_window").find("write model.window_size") !=
        std::string::npos);
  CHECK(refusal_of_key("x-model.window_size") ==
        "s.yaml:1: x-model.window_size: is no key of a run file");
  CHECK(refusal_of_key("").find("unknown key") != std::string::npos);
  CHECK(refusal_of_key("logging") ==
        "s.yaml:1: logging: is a section of run files; write the whole key with dots, such as "
        "logging.tensorboard");
  CHECK(refusal_of_key("model.rope_scaling").find("such as model.rope_scaling.") !=
        std::string::npos);
}

TEST_CASE("Axes without values, and of other kinds, are refused") {
  CHECK(refusal("name: x\n") == "s.yaml: axes: no arms: give axes, zip or arms");
  CHECK(refusal("axes: {}\n") ==
        "s.yaml:1: axes: must be a map of axes, such as {model.layer_group_size: [1, 2, 4]}");
  CHECK(refusal("axes: [model.window_size]\n").find("must be a map of axes") != std::string::npos);
  CHECK(refusal("axes: {model.window_size: []}\n") ==
        "s.yaml:1: axes.model.window_size: has no values");
  CHECK(refusal("axes: {model.window_size: 3}\n") ==
        "s.yaml:1: axes.model.window_size: must be a list of values, such as [1, 2]");
  CHECK(refusal("axes: {model.window_size: {a: {}}}\n") ==
        "s.yaml:1: axes.model.window_size: must be a list of values, such as [1, 2]");
  CHECK(refusal("axes: {attention: {}}\n") == "s.yaml:1: axes.attention: has no named settings");
  CHECK(refusal("axes: {attention: 3}\n").find("or a map of named settings") != std::string::npos);
  CHECK(refusal("arms: {full: full}\n") ==
        "s.yaml:1: arms.full: must be a map of keys of run files, such as {model.window_size: 8}");
  CHECK(refusal("arms: [full]\n").find("must be a map of named settings") != std::string::npos);
  CHECK(refusal("zip: {model.window_size: 3}\n") ==
        "s.yaml:1: zip.model.window_size: must be a list of values");
  CHECK(refusal("zip:\n  model.window_size: [1, 2]\n  optimizer.lr: [1.0e-3]\n") ==
        "s.yaml:3: zip.optimizer.lr: has 1 values where other keys have 2; the keys of a zip have "
        "one value each for every arm");
  CHECK(refusal("axes: {model.window_size: ['${ZEBRA_TEST_UNSET}']}\n")
            .find("s.yaml:1: axes.model.window_size: environment variable ZEBRA_TEST_UNSET") == 0);
}

TEST_CASE("Two values of one name are refused") {
  CHECK(refusal("axes:\n  model.window_size: [8, 9, 8]\n")
            .find("s.yaml:2: axes.model.window_size: two values would be called window_size-8") ==
        0);
  CHECK(refusal("arms: {a/b: {}, a-b: {model.window_size: 3}}\n")
            .find("two values would be called a-b") != std::string::npos);
}

TEST_CASE("Seeds are an axis of their own") {
  CHECK(refusal("axes: {run.seed: [1, 2]}\n") == "accepted");
  CHECK(refusal("zip: {run.seed: [1, 2]}\n").find("zip.run.seed: seeds are an axis of their own") !=
        std::string::npos);
  CHECK(refusal("arms: {a: {run.seed: 1}}\n")
            .find("arms.a.run.seed: seeds are an axis of their own") != std::string::npos);
}

TEST_CASE("Axes that contradict one another are refused") {
  CHECK(refusal("axes: {model.window_size: [1, 2]}\nzip: {model.window_size: [3]}\n") ==
        "s.yaml:2: zip: model.window_size is already set by axes.model.window_size; one axis alone "
        "can set a key");
  CHECK(refusal("axes:\n  a: {x: {optimizer.lr: 1}}\n  b: {y: {optimizer.lr: 2}}\n") ==
        "s.yaml:3: axes.b: optimizer.lr is already set by axes.a; one axis alone can set a key");
  CHECK(refusal("axes: {arms: {x: {optimizer.lr: 1}}}\narms: {y: {model.window_size: 2}}\n") ==
        "s.yaml:2: arms: is the name of two axes; rename one of them");
  CHECK(refusal("axes: {a: {x: {optimizer.lr: 1}, y: {optimizer.lr: 2}}}\n") == "accepted");
}

TEST_CASE("A pattern and the short forms that it overrides are refused together") {
  for (const std::string key :
       {"self_attn_type: [full, mix]", "layer_group_size: [1, 2]", "global_layer: [first, last]"}) {
    const std::string name = key.substr(0, key.find(':'));
    const std::string other = "  model.attention_pattern: [GL, GLL]\n";
    CHECK(refusal("axes:\n" + other + "  model." + key + "\n") ==
          "s.yaml:3: axes.model." + name + ": model." + name +
              " has no effect beside model.attention_pattern, which axes.model.attention_pattern "
              "sets; write the layouts as patterns, or without any");
    CHECK(refusal("axes:\n  model." + key + "\n" + other).find("s.yaml:2: axes.model." + name) ==
          0);
  }
  CHECK(refusal("arms: {a: {model.attention_pattern: GL, model.layer_group_size: 2}}\n") ==
        "s.yaml:1: arms: a: model.layer_group_size has no effect beside model.attention_pattern; "
        "remove one of them");
  CHECK(refusal("arms: {a: {model.attention_pattern: GL}, b: {model.layer_group_size: 2}}\n") ==
        "accepted");
  CHECK(refusal("arms: {a: {model.attention_pattern: , model.layer_group_size: 2}}\n") ==
        "accepted");
  CHECK(refusal("axes: {model.attention_pattern: [GL, GLL], model.always_global: [last]}\n") ==
        "accepted");
}

TEST_CASE("Exclusions name keys, or axes with names of their own") {
  const auto [grid, refusal] = grid_of(
      "axes:\n"
      "  model.window_size: [8, 16]\n"
      "  attention: {full: {model.self_attn_type: full}, mix: {}}\n"
      "exclude:\n"
      "  - {model.window_size: [8, 16.0], attention: full}\n"
      "  - {model.self_attn_type: full}\n");
  REQUIRE(refusal == "accepted");
  REQUIRE(grid.exclusions.size() == 2);
  CHECK(grid.exclusions[0].path == "exclude[0]");
  CHECK(grid.exclusions[0].origin.text() == "s.yaml:5");
  REQUIRE(grid.exclusions[0].conditions.size() == 2);
  CHECK(grid.exclusions[0].conditions[0].name == "model.window_size");
  CHECK(grid.exclusions[0].conditions[0].values == std::vector<std::string>{"8", "16.0"});
  CHECK(grid.exclusions[0].conditions[1].values == std::vector<std::string>{"full"});
}

TEST_CASE("An exclusion of something that no axis sets is refused") {
  const std::string axes = "axes: {model.window_size: [8, 16], a: {x: {optimizer.lr: 1}}}\n";
  CHECK(refusal(axes + "exclude: [{model.windw_size: 8}]\n") ==
        "s.yaml:2: exclude[0].model.windw_size: no axis sets it; did you mean model.window_size?");
  CHECK(refusal(axes + "exclude: [{train.grad_clip: 8}]\n") ==
        "s.yaml:2: exclude[0].train.grad_clip: no axis sets it; axes set a, model.window_size, "
        "optimizer.lr");
  CHECK(
      refusal(axes + "exclude: {model.window_size: 8}\n").find("exclude: must be a list of maps") !=
      std::string::npos);
  CHECK(refusal(axes + "exclude: [{}, 3]\n") ==
        "s.yaml:2: exclude[0]: must be a map, such as {model.layer_group_size: 1}\n"
        "s.yaml:2: exclude[1]: must be a map, such as {model.layer_group_size: 1}");
}

TEST_CASE("Labels say the scalars of a value, names of folders safe characters only") {
  const auto label = [](const std::string& text) {
    return label_text(parse_yaml("a: " + text, "t").find("a")->value);
  };
  CHECK(label("0.9") == "0.9");
  CHECK(label("[0.9, 0.95]") == "0.9-0.95");
  CHECK(label("{path: a/b, weight: 2}") == "a/b-2");
  CHECK(label("") == "default");
  CHECK(folder_name("Az09._-") == "Az09._-");
  CHECK(folder_name("a/b c:d\n") == "a-b-c-d-");
  CHECK(folder_name("\xc3\xbc") == "--");
  CHECK(folder_name(std::string("a\0b", 3)) == "a-b");
}
