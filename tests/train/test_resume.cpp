#include "train/resume.h"

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "config/load.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"
#include "train/run_checkpoints.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

struct ResumedRun {
  TemporaryFolder folder;
  Config config = resolve(parse_run_file("run: {dir: " + folder.path().string() +
                                             "/run}\nmodel: {preset: zebra-tiny}\n"
                                             "data: {tokenizer: tok.model, train: [{path: t}],\n"
                                             "       sequence_length: 64}\n"
                                             "train: {max_steps: 30, global_batch_size: 2}\n",
                                         "c.yaml"),
                          300);
  Job job{Launch{}};

  std::filesystem::path at(std::int64_t step) const {
    return checkpoint_folder(config.run.dir, step);
  }

  void save(std::int64_t step) {
    TextCollectives texts(nullptr, 0, 1);
    const NamedTensor tensor = {"weight", {100}};
    write_checkpoint(at(step),
                     {step,
                      config,
                      {{"tokenizer.model", "stands for a tokenizer"}},
                      {{"step", step}},
                      {{"weights", {{tensor, 0, torch::randn({100})}}}}},
                     texts);
  }

  /// With the training state of a run on these data.
  Checkpoint saved_with(const DataFingerprints& data) {
    TrainingState state;
    state.dataset_fingerprints = data.train;
    state.validation_fingerprints = data.validation;
    TextCollectives texts(nullptr, 0, 1);
    const NamedTensor tensor = {"weight", {100}};
    write_checkpoint(at(1),
                     {1,
                      config,
                      {{"tokenizer.model", "stands for a tokenizer"}},
                      state.to_json(),
                      {{"weights", {{tensor, 0, torch::randn({100})}}}}},
                     texts);
    return Checkpoint(at(1));
  }

  void damage(std::int64_t step) {
    const auto file = at(step) / shard_file_name("weights", 0);
    auto content = read_file(file);
    content.back() = static_cast<char>(content.back() ^ 4);
    write_file_atomically(file, content);
  }

  ResumePoint find(const std::string& resume = "auto") {
    return find_resume_point(config, resume, job);
  }
};

TEST_CASE_METHOD(ResumedRun, "a new run starts from scratch") {
  for (const auto* resume : {"auto", "never"}) {
    const auto point = find(resume);
    REQUIRE_FALSE(point.checkpoint);
    REQUIRE(point.passed_over.empty());
  }
}

TEST_CASE_METHOD(ResumedRun,
                 "the newest undamaged checkpoint is taken, and those passed over are told") {
  for (const std::int64_t step : {10, 20, 30}) save(step);
  REQUIRE(find().checkpoint == at(30));
  REQUIRE_THROWS_WITH(find("never"), Contains("up to step 30"));
  damage(30);
  auto point = find();
  REQUIRE(point.checkpoint == at(20));
  REQUIRE(point.passed_over.size() == 1);
  REQUIRE(point.passed_over[0].folder == at(30));
  REQUIRE(point.passed_over[0].faults.size() == 1);
  REQUIRE_THAT(point.passed_over[0].faults[0], Contains("weights-00000.safetensors"));
  damage(20);
  point = find();
  REQUIRE(point.checkpoint == at(10));
  REQUIRE(point.passed_over.size() == 2);
  damage(10);
  REQUIRE_THROWS_WITH(find(), Contains("step-00000010") && Contains("step-00000020") &&
                                  Contains("step-00000030") &&
                                  Contains("no undamaged checkpoint is left"));
}

TEST_CASE_METHOD(ResumedRun, "a checkpoint that was named is taken or refused, never replaced") {
  for (const std::int64_t step : {10, 20}) save(step);
  REQUIRE(find(at(20).string()).checkpoint == at(20));
  REQUIRE_THROWS_WITH(find(at(10).string()), Contains("newer than step 10"));
  damage(20);
  REQUIRE_THROWS_WITH(find(at(20).string()),
                      Contains("weights-00000.safetensors") && Contains("is damaged"));
}

TEST_CASE_METHOD(ResumedRun,
                 "where a run and its data lie does not count, what the data hold does") {
  auto checkpoint = saved_with({{"a"}, {}});
  config.run.dir = "/elsewhere/run";
  config.run.name = "other";
  config.data.tokenizer = "/elsewhere/tok.model";
  config.data.train[0].path = "/elsewhere/t";
  REQUIRE(check_resumable(checkpoint, config, {{"a"}, {}}).size() == 2);  // dir and name are told
  REQUIRE_THROWS_WITH(check_resumable(checkpoint, config, {{"b"}, {}}), Contains("data.train"));
  const auto same = config;
  config.data.train[0].weight = 2.0;
  REQUIRE_THROWS_WITH(check_resumable(checkpoint, config, {{"a"}, {}}), Contains("data.train"));
  config = same;
  config.data.train[0].loss_weight = 2.0;
  REQUIRE_THROWS_WITH(check_resumable(checkpoint, config, {{"a"}, {}}),
                      Contains("data.train: ") && Contains("loss_weight: 1.0}] -> ") &&
                          Contains("loss_weight: 2.0"));
}

TEST_CASE_METHOD(ResumedRun, "the data of stages may lie elsewhere, too") {
  config.data.stages = {{{0.5, 0}, {{{"s", std::nullopt}}}}};
  auto checkpoint = saved_with({{"a"}, {}});
  config.data.stages[0].train[0].path = "/elsewhere/s";
  REQUIRE(check_resumable(checkpoint, config, {{"a"}, {}}).empty());
  config.data.stages[0].until.fraction = 0.25;
  REQUIRE_THROWS_WITH(check_resumable(checkpoint, config, {{"a"}, {}}), Contains("data.stages"));
}

TEST_CASE_METHOD(ResumedRun, "a refusal has the command that forks a run with the changes") {
  auto checkpoint = saved_with({{"a"}, {}});
  config.optimizer.lr = 0.5;
  config.data.train[0].path = "it's";
  REQUIRE_THROWS_WITH(check_resumable(checkpoint, config, {{"b"}, {}}),
                      Contains("optimizer.lr: ") && Contains("data.train: ") &&
                          Contains("zebra checkpoint fork " + at(1).string() + " --output ") &&
                          Contains("--set optimizer.lr=0.5") && Contains("it'\\''s"));
}

TEST_CASE_METHOD(ResumedRun,
                 "the checkpoint of a newer build is no damage: nothing older replaces it") {
  for (const std::int64_t step : {10, 20}) save(step);
  const auto path = at(20) / Manifest::kFileName;
  auto text = read_file(path);
  const std::string version = "\"format_version\": ";
  text.replace(text.find(version) + version.size(), 1, "2");
  const std::string ending = "\"\n}\n";
  text.erase(text.size() - 32 - ending.size());
  write_file_atomically(path, text + hash_of(text + ending) + ending);
  REQUIRE_THROWS_WITH(find(), Contains("format version 2") && Contains("newer build"));
}

}  // namespace
}  // namespace zebra
