#include "ablation/sweep_folder.h"

#include "base/file.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using namespace zebra::testing;

struct ArmFolder {
  ArmFolder() : paths(folder.path(), "one_seed-1") {
    std::filesystem::create_directories(paths.run);
  }
  void write_status(const std::string& state, const std::string& reason) const {
    write_text(paths.run / "status.json",
               R"({"state": ")" + state + R"(", "step": 20, "reason": ")" + reason + R"("})");
  }
  ArmStatus status() const { return read_arm_status(paths, {20, R"({"items": 6, "seed": 1})"}); }

  TemporaryFolder folder;
  ArmPaths paths;
};

TEST_CASE("training probes lie in the sweep's folder, by the length of their sequences") {
  REQUIRE(probe_dataset_path("/out", 128) == "/out/data/probes-128");
}

TEST_CASE("an arm is finished when it is trained and measured") {
  const ArmFolder arm;
  REQUIRE(arm.status().state == ArmState::unfinished);
  arm.write_status("running", "");
  REQUIRE(arm.status().state == ArmState::unfinished);
  arm.write_status("finished", "all steps done");
  REQUIRE(arm.status().state == ArmState::unfinished);
  write_text(arm.paths.recall(), "{\"probes\": ");
  REQUIRE(arm.status().state == ArmState::unfinished);
  write_text(arm.paths.recall(), R"({"step": 20, "asked": {"seed": 1, "items": 6}})");
  REQUIRE(arm.status().state == ArmState::finished);
  REQUIRE(arm.status().reason.empty());
}

TEST_CASE("an arm that was asked something else, or at another step, is trained but not finished") {
  const ArmFolder arm;
  arm.write_status("finished", "all steps done");
  const auto reason_of = [&](const std::string& recall) {
    write_text(arm.paths.recall(), recall);
    REQUIRE(arm.status().state == ArmState::unfinished);
    REQUIRE(arm.status().is_trained);
    return arm.status().reason;
  };
  REQUIRE(reason_of(R"({"step": 20, "asked": {"items": 5}})") ==
          "its recall was asked otherwise: items: 5 -> 6, seed: null -> 1");
  REQUIRE(reason_of(R"({"step": 10, "asked": {"items": 6, "seed": 1}})") ==
          "its recall is that of step 10");
  REQUIRE(reason_of(R"({"step": 20})") == "what its recall was asked is not known");
  REQUIRE_FALSE(read_arm_status(arm.paths, {30, "{}"}).is_trained);
  REQUIRE(steps_of_finished_run(arm.paths.run) == 20);
  arm.write_status("stopped", "");
  REQUIRE_FALSE(steps_of_finished_run(arm.paths.run).has_value());
}

TEST_CASE("a failed arm says why, and a diverged one for good") {
  const ArmFolder arm;
  arm.write_status("running", "");
  write_text(arm.paths.failure, "training ended with signal 9 (Killed)\n");
  const auto killed = arm.status();
  REQUIRE(killed.state == ArmState::failed);
  REQUIRE(killed.reason == "training ended with signal 9 (Killed)");
  REQUIRE_FALSE(killed.is_final);
  arm.write_status("failed", "diverged: the loss was not finite");
  REQUIRE(arm.status().is_final);
  arm.write_status("failed", "no space left on device");
  REQUIRE_FALSE(arm.status().is_final);
}

TEST_CASE("progress is the newest row of a step, whatever stands behind it") {
  const TemporaryFolder folder;
  const auto metrics = folder / "metrics.jsonl";
  REQUIRE(read_arm_progress(metrics).step == 0);
  write_text(metrics,
             "{\"step\": 4, \"loss\": 3.5}\n{\"step\": 5, \"loss\": 2.25}\n"
             "{\"step\": 5, \"validation_loss\": 9}\n{\"step\": 6, \"lo");
  const auto progress = read_arm_progress(metrics);
  REQUIRE(progress.step == 5);
  REQUIRE(progress.loss == 2.25);
  write_text(metrics, std::string(200000, ' ') + "\n{\"step\": 7, \"loss\": null}\n");
  REQUIRE(read_arm_progress(metrics).step == 7);
  REQUIRE_FALSE(read_arm_progress(metrics).loss.has_value());
}

TEST_CASE("lines of metrics that are no rows are nothing, such as those with numbers as text") {
  for (const std::string line :
       {"", "{", "[1]", "{\"loss\": 1}", "{\"step\": \"7\", \"loss\": 1}", "{\"step\": -1}",
        "{\"step\": 1.5}", "{\"step\": 7, \"loss\": \"2\"}", "{\"step\": 1, \"loss\": 1e999}",
        "{\"step\": 1, \"step\": 2}"}) {
    INFO(line);
    REQUIRE_FALSE(read_metrics_row(line).has_value());
  }
  const auto row = read_metrics_row("{\"step\": 7, \"loss\": null, \"seconds\": 2}");
  REQUIRE(row.has_value());
  REQUIRE(row->step == 7);
  REQUIRE(row->is_training);
  REQUIRE_FALSE(row->loss.has_value());
  REQUIRE(row->seconds == 2.0);
  REQUIRE(row->sources.empty());
}

TEST_CASE("what sources gave is read as far as it is there") {
  const auto row = read_metrics_row(
      R"({"step": 7, "loss": 1, "sources": [{"samples": 3, "targets": 90, "loss_share": 0.75}, 5]})");
  REQUIRE(row->sources.size() == 2);
  REQUIRE(row->sources[0].samples == 3.0);
  REQUIRE(row->sources[0].targets == 90.0);
  REQUIRE(row->sources[0].loss_share == 0.75);
  REQUIRE(row->sources[1].targets == 0.0);
  REQUIRE(read_metrics_row(R"({"step": 7, "loss": 1, "sources": 2})")->sources.empty());
}

}  // namespace
}  // namespace zebra
