#include "ablation/continuation.h"

#include "ablation/base_run_folder.h"
#include "ablation/preparation.h"
#include "ablation/probes.h"
#include "base/error.h"
#include "base/file.h"
#include "checkpoint/folder.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

const std::string kAxes = "axes: {model.window_size: [5, 7], run.seed: [1]}\n";

/// A sweep that was prepared, whose first arm looks as if it had run to its end.
struct Grown {
  explicit Grown(const std::string& lines = kAxes) {
    const auto sweep = folder.sweep(lines);
    prepare(sweep, "zebra");
    const auto goal = goal_of(sweep, sweep.arms[0]);
    std::filesystem::create_directories(paths().run);
    write_text(paths().run / "status.json", R"({"state": "finished", "step": 20, "reason": ""})");
    write_text(paths().recall(), R"({"step": 20, "asked": )" + goal.asked + "}");
    const auto checkpoint = checkpoint_folder(paths().run, 20);
    std::filesystem::create_directories(checkpoint);
    write_text(checkpoint / "manifest.json", "{}");
  }

  ArmPaths paths() const { return {folder / "out", "window_size-5_seed-1"}; }
  std::string tasks(const std::string& lines) const { return tasks_text(folder.sweep(lines)); }
  std::string refusal(const std::string& lines) const {
    Problems problems;
    check_continuation(folder.sweep(lines), problems);
    return problems.empty() ? "accepted" : join(problems.all(), "\n");
  }
  void change_base(const std::string& before, const std::string& after) const {
    std::string base = kBaseRun;
    base.replace(base.find(before), before.size(), after);
    write_text(folder / "base.yaml", base);
  }

  BaseRunFolder folder;
};

TEST_CASE("a sweep that gets more seeds and arms keeps what is finished") {
  const Grown grown;
  REQUIRE(grown.tasks(kAxes) == "to do: train 1 arm; 1 arm is over");
  const std::string more = "axes: {model.window_size: [5, 6, 7], run.seed: [1, 2]}\n";
  REQUIRE(grown.refusal(more) == "accepted");
  REQUIRE(grown.tasks(more) == "to do: train 5 arms; 1 arm is over");
  REQUIRE(grown.refusal("axes: {model.window_size: [7], run.seed: [1]}\n") == "accepted");
}

TEST_CASE("other bands, and other questions, are asked anew of what is trained") {
  const Grown grown;
  const std::string wider = "axes: {model.window_size: [5, 7, 9], run.seed: [1]}\n";
  REQUIRE(grown.refusal(wider) == "accepted");
  REQUIRE(
      grown.tasks(wider) ==
      "to do: train 2 arms, measure the recall of 1 arm (its recall was asked otherwise: window: "
      "7 -> 9)");
  REQUIRE_THAT(grown.tasks(kAxes + "probes: {items: 30}\n"), Contains("items: 256 -> 30"));

  std::filesystem::remove_all(checkpoint_folder(grown.paths().run, 20));
  REQUIRE(grown.refusal(kAxes) == "accepted");
  REQUIRE_THAT(grown.refusal(wider),
               Contains("arm window_size-5_seed-1: has to be asked anew: its recall was asked "
                        "otherwise: window: 7 -> 9; but its checkpoint of step 20 is gone"));
}

TEST_CASE("an arm that was begun with other settings is refused, each change once") {
  const Grown grown;
  std::filesystem::create_directories(ArmPaths(grown.folder / "out", "window_size-7_seed-1").run);
  grown.change_base("lr: 2.0e-3", "lr: 3.0e-3");
  REQUIRE(grown.refusal(kAxes) ==
          "arm window_size-5_seed-1: was begun with other settings: optimizer.lr: 0.002 -> 0.003; "
          "undo the change, or set another dir for the new sweep (and 1 more arm)");
  // Only those that have a run folder: others may still change.
  std::filesystem::remove_all(ArmPaths(grown.folder / "out", "window_size-7_seed-1").run);
  REQUIRE_THAT(grown.refusal(kAxes), !Contains("more arm"));
}

TEST_CASE("more steps are trained, fewer are refused") {
  const Grown grown;
  grown.change_base("max_steps: 20", "max_steps: 30");
  REQUIRE(grown.refusal(kAxes) == "accepted");
  REQUIRE(grown.tasks(kAxes) == "to do: train 2 arms");
  std::filesystem::remove_all(checkpoint_folder(grown.paths().run, 20));
  REQUIRE_THAT(grown.refusal(kAxes),
               Contains("is to go on to step 30; but its checkpoint of step 20"));
  grown.change_base("max_steps: 20", "max_steps: 10");
  REQUIRE_THAT(grown.refusal(kAxes),
               Contains("has trained 20 steps, more than the 10 that it has now"));
}

TEST_CASE("results of something else are no beginning of a sweep") {
  const BaseRunFolder folder;
  std::filesystem::create_directories(folder / "out/report");
  Problems problems;
  check_continuation(folder.sweep(kAxes), problems);
  REQUIRE(problems.all().size() == 1);
  REQUIRE_THAT(problems.all()[0], Contains("no sweep has begun in dir"));
}

}  // namespace
}  // namespace zebra
