#include "checkpoint/moved_run.h"

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "config/load.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using namespace zebra::testing;

/// A project that was made in "old" and lies in "new".
struct Project {
  TemporaryFolder folder;
  std::filesystem::path run = folder / "new/runs/a";
  std::vector<std::string> files = {(run / Checkpoint::kConfigFile).string()};
  RunFile file = parse_run_file("run: {dir: " + (folder / "old/runs/a").string() +
                                    "}\nmodel: {preset: zebra-tiny, vocab_size: 300}\n"
                                    "data: {tokenizer: " +
                                    (folder / "old/tok.model").string() +
                                    ",\n  train: [{path: " + (folder / "old/train").string() +
                                    "}, {path: /elsewhere/train}],\n  sequence_length: 64}\n"
                                    "train: {max_steps: 3, global_batch_size: 2}\n",
                                Checkpoint::kConfigFile);

  Project() {
    std::filesystem::create_directories(checkpoint_folder(run, 3));
    std::filesystem::create_directories(folder / "new/train");
    write_text(run / Checkpoint::kConfigFile, "");
  }
};

TEST_CASE_METHOD(Project, "a run goes on where its config.yaml lies, with what moved along") {
  write_text(folder / "new/tok.model", "");
  const auto notes = follow_moved_run(file, files, {});
  REQUIRE(notes.size() == 3);
  REQUIRE(file.run.dir == run);
  REQUIRE(file.data.tokenizer == folder / "new/tok.model");
  REQUIRE(file.data.train[0].path == folder / "new/train");
  REQUIRE(file.data.train[1].path == "/elsewhere/train");
}

TEST_CASE_METHOD(Project, "the data of stages are followed too") {
  file.data.stages = {{{0.5, 0}, {{{folder / "old/train", std::nullopt}}}}};
  follow_moved_run(file, files, {});
  REQUIRE(file.data.stages[0].train[0].path == folder / "new/train");
}

TEST_CASE_METHOD(Project, "the tokenizer is also found in the run folder and in a checkpoint") {
  const auto checkpoint = checkpoint_folder(run, 3);
  write_text(checkpoint / "tokenizer.model", "");
  write_text(checkpoint / "manifest.json", "");
  auto other = file;
  follow_moved_run(other, files, {});
  REQUIRE(other.data.tokenizer == checkpoint / "tokenizer.model");
  write_text(run / "tokenizer.model", "");
  follow_moved_run(file, files, {});
  REQUIRE(file.data.tokenizer == run / "tokenizer.model");
}

TEST_CASE_METHOD(Project, "what is where the file says stays, and so does what the user names") {
  const auto before = to_yaml(file);
  REQUIRE(follow_moved_run(file, files, {"run.dir=other"}).empty());
  REQUIRE(follow_moved_run(file, {(folder / "new/run.yaml").string()}, {}).empty());
  REQUIRE(to_yaml(file) == before);
  std::filesystem::create_directories(folder / "old/train");
  write_text(folder / "old/tok.model", "");
  REQUIRE(follow_moved_run(file, files, {}).size() == 1);
  REQUIRE(file.data.train[0].path == folder / "old/train");
  REQUIRE(file.data.tokenizer == folder / "old/tok.model");
}

}  // namespace
}  // namespace zebra
