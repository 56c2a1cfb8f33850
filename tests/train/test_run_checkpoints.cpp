#include "train/run_checkpoints.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/folder.h"
#include "config/load.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("the training state reads back to the bit") {
  TrainingState state;
  state.step = 123;
  state.optimizer_steps = 120;
  state.tokens = 1234567890123;
  state.seconds = 0.1 + 0.2;
  state.skip.recent_norms = {1.0 / 3.0, 2.5};
  state.skip.skipped_steps = 3;
  state.skip.consecutive_non_finite = 2;
  state.validation_loss = 2.0 / 3.0;
  state.dataset_fingerprints = {"a", "b"};
  state.validation_fingerprints = {"c"};
  state.metrics_rows = 130;
  const auto read = TrainingState::from_json(nlohmann::ordered_json::parse(state.to_json().dump()));
  REQUIRE(read.step == state.step);
  REQUIRE(read.optimizer_steps == state.optimizer_steps);
  REQUIRE(read.tokens == state.tokens);
  REQUIRE(read.seconds == state.seconds);
  REQUIRE(read.skip.recent_norms == state.skip.recent_norms);
  REQUIRE(read.skip.skipped_steps == 3);
  REQUIRE(read.skip.consecutive_non_finite == 2);
  REQUIRE(read.validation_loss == state.validation_loss);
  REQUIRE(read.dataset_fingerprints == state.dataset_fingerprints);
  REQUIRE(read.validation_fingerprints == state.validation_fingerprints);
  REQUIRE(read.metrics_rows == state.metrics_rows);
}

TEST_CASE("a checkpoint without training state is refused") {
  REQUIRE_THROWS_AS(TrainingState::from_json({{"step", 3}}), InputError);
}

struct CheckpointedRun {
  TemporaryFolder folder;
  RunFolder run = RunFolder(folder / "run");
  Job job{Launch{}};
  Config config = resolve(parse_run_file("run: {dir: " + run.path().string() +
                                             "}\nmodel: {preset: zebra-tiny}\n"
                                             "data: {tokenizer: tok.model, train: [{path: t}],\n"
                                             "       sequence_length: 64}\n"
                                             "train: {max_steps: 25, global_batch_size: 2}\n"
                                             "checkpoint: {every_steps: 10, keep_last: 2}\n",
                                         "c.yaml"),
                          300);
  RunCheckpoints checkpoints{config, run, job};

  RunCheckpoints::Content content(std::int64_t step) {
    return [this, step]() -> CheckpointContent {
      const NamedTensor tensor = {"weight", {100}};
      return {step,
              config,
              {{"tokenizer.model", "stands for a tokenizer"}},
              {{"step", step}},
              {{"weights", {{tensor, 0, torch::randn({100})}}}}};
    };
  }

  nlohmann::json status() const {
    return nlohmann::json::parse(read_file(run.path() / "status.json"));
  }
};

TEST_CASE_METHOD(CheckpointedRun,
                 "the newest checkpoint is known and told, and superfluous ones go") {
  REQUIRE(checkpoints.newest().empty());
  for (const std::int64_t step : {10, 20}) {
    REQUIRE(checkpoints.save_due(step, content(step)) > 0.0);
  }
  checkpoints.save_now(25, content(25));
  REQUIRE(checkpoints.newest() == checkpoint_folder(run.path(), 25));
  REQUIRE(status()["checkpoint"] == checkpoints.newest().string());
  REQUIRE(status()["step"] == 25);
  const auto kept = list_checkpoints(run.path());
  REQUIRE(kept.size() == 2);
  REQUIRE(kept.front().step == 20);
  REQUIRE(checkpoints.take_seconds_lost() > 0.0);
  REQUIRE(checkpoints.take_seconds_lost() == 0.0);
}

TEST_CASE_METHOD(CheckpointedRun,
                 "a checkpoint that cannot be saved is told; only the last one must succeed") {
  write_text(run.path() / "checkpoints", "in the way");
  checkpoints.save_due(10, content(10));
  REQUIRE_THROWS_AS(checkpoints.save_now(20, content(20)), RunError);
  REQUIRE(checkpoints.newest().empty());
  REQUIRE(status()["checkpoint"].is_null());
  REQUIRE(status()["reason"] != "");
  std::filesystem::remove(run.path() / "checkpoints");
  checkpoints.save_now(25, content(25));
  REQUIRE(status()["reason"] == "");
}

}  // namespace
}  // namespace zebra
