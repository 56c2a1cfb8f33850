#include "config/data_stages.h"

#include <string>
#include <vector>

#include "config/load.h"
#include "run_file.h"
#include "support/catch.h"

namespace zebra {
namespace {

using Catch::Matchers::Contains;
using Numbers = std::vector<std::size_t>;

DataSection data_with(const std::string& stages,
                      const std::string& train = "[{path: /a}, {path: /b}]") {
  return config_with({"data.stages=" + stages, "data.train=" + train}).data;
}

std::vector<std::string> paths_of(const DataSection& data) {
  std::vector<std::string> paths;
  for (const auto& source : training_sources(data)) paths.push_back(source.path.string());
  return paths;
}

std::string stage_refusal(const std::string& stages) {
  return refusal_with({"data.stages=" + stages});
}

TEST_CASE("Without stages the sources are those of data.train for good") {
  const auto data = data_with("");
  CHECK(paths_of(data) == std::vector<std::string>{"/a", "/b"});
  const auto stages = training_stages(data, 21);
  REQUIRE(stages.size() == 1);
  CHECK(stages[0].first_step == 1);
  CHECK_FALSE(stages[0].last_step.has_value());
  CHECK(stages[0].numbers == Numbers{0, 1});
  CHECK(stages[0].steps_of(21) == 21);
}

TEST_CASE("Sources are counted in the order of their first use") {
  const auto data = data_with(
      "[{until: 0.25, train: [{path: /c, weight: 3, loss_weight: 2}, {path: /b, weight: 1}]}, "
      "{until: 0.5, train: [{path: /c}]}]");
  CHECK(paths_of(data) == std::vector<std::string>{"/c", "/b", "/a"});
  const auto stages = training_stages(data, 21);
  REQUIRE(stages.size() == 3);
  CHECK(stages[0].numbers == Numbers{0, 1});
  CHECK(stages[1].numbers == Numbers{0});
  CHECK(stages[2].numbers == Numbers{2, 1});
  CHECK(stages[0].train[0].loss_weight == 2.0);
  CHECK(stages[0].train[1].weight == 1.0);
  // 5.25 and 10.5, to the nearest step.
  CHECK(stages[0].last_step == 5);
  CHECK(stages[1].first_step == 6);
  CHECK(stages[1].last_step == 11);
  CHECK(stages[2].first_step == 12);
  CHECK(stages[2].steps_of(21) == 10);
  CHECK(stages[1].steps_of(8) == 3);
  CHECK(stages[1].steps_of(5) == 0);
}

TEST_CASE("A path that a list names twice is two sources") {
  const auto data = data_with("[{until: 3, train: [{path: /a}, {path: /b}, {path: /a}]}]",
                              "[{path: /a}, {path: /a}, {path: /a}]");
  CHECK(paths_of(data) == std::vector<std::string>{"/a", "/b", "/a", "/a"});
  CHECK(training_stages(data, 21)[1].numbers == Numbers{0, 2, 3});
}

TEST_CASE("A stage to which rounding leaves no step goes, its sources stay counted") {
  const auto data = data_with(
      "[{until: 0.01, train: [{path: /x}]}, {until: 0.5, train: [{path: /y}]}, "
      "{until: 0.51, train: [{path: /z}]}]");
  const auto stages = training_stages(data, 10);
  REQUIRE(stages.size() == 2);
  CHECK(stages[0].numbers == Numbers{1});
  CHECK(stages[0].first_step == 1);
  CHECK(stages[0].last_step == 5);
  CHECK(stages[1].numbers == Numbers{3, 4});
  CHECK(paths_of(data).size() == 5);
}

TEST_CASE("Bad stages of data are refused") {
  CHECK(stage_refusal("[{until: 0.5, train: []}]") ==
        "--set data.stages=[{until: 0.5, train: []}]: data.stages[0].train: must not be an empty "
        "list");
  CHECK_THAT(stage_refusal("[{until: 0.5}]"),
             Contains("data.stages[0].train: missing, and it has no default"));
  CHECK_THAT(stage_refusal("[{train: [{path: a}]}]"), Contains("data.stages[0].until: missing"));
  CHECK_THAT(stage_refusal("[{until: 0.5, train: [{paht: a}]}]"),
             Contains("data.stages[0].train[0].paht: unknown key; did you mean path?"));
  CHECK_THAT(stage_refusal("[{until: 0.5, train: a}]"),
             Contains("data.stages[0].train: must be a list of maps, such as [{path: FOLDER}]"));
  CHECK_THAT(stage_refusal("[{until: 0.5, train: [{path: a, weight: 1}, {path: b}]}]"),
             Contains("data.stages[0].train[1].weight: missing, but other sources of the list"));
  CHECK_THAT(stage_refusal("[{until: 21, train: [{path: a}]}]"),
             Contains("data.stages[0].until: 21 must be below train.max_steps (21), or nothing "
                      "would be trained with data.train; lower it"));
  CHECK_THAT(
      stage_refusal("[{until: 0.5, train: [{path: a}]}, {until: 0.5, train: [{path: b}]}]"),
      Contains("data.stages[1].until: 0.5 must be greater than that of the stage before (0.5)"));
  CHECK_THAT(refusal_with({"data.stages=[{until: 0.5, train: [{path: a}]}]", "data.train=[]",
                           "train.max_steps=0"}),
             Contains("train.max_steps: must be at least 1, not 0"));
  CHECK_THAT(refusal_with({"data.stages=[{until: 0.5, train: [{path: a}]}]", "data.train=[]"}),
             Contains("data.train: missing"));
}

TEST_CASE("The resolved file holds the stages of the data, with absolute paths") {
  const RunFile file = config_with(
      {"data.stages=[{until: 0.5, train: [{path: /a, weight: 0.5}, {path: '/b, c', weight: 1}]}]"});
  const auto yaml = to_yaml(file);
  CHECK_THAT(yaml, Contains("\n  stages:\n    - {until: 0.5, train: [{path: /a, weight: 0.5, "
                            "loss_weight: 1.0}, {path: "));
  const auto again = parse_run_file(yaml, "again");
  REQUIRE(again.data.stages.size() == 1);
  CHECK(again.data.stages[0].train.at(1).path == "/b, c");
  CHECK(to_yaml(again) == yaml);
  CHECK(config_with({"data.stages=[{until: 2, train: [{path: d}]}]"})
            .data.stages[0]
            .train[0]
            .path.is_absolute());
  CHECK_FALSE(may_change_on_resume("data.stages"));
  const auto changes = differences(resolve(config_with({}), 300), resolve(file, 300));
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].key == "data.stages");
  CHECK(changes[0].before == "(absent)");
}

}  // namespace
}  // namespace zebra
