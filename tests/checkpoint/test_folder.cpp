#include "checkpoint/folder.h"

#include "base/error.h"
#include "checkpoint/manifest.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using namespace zebra::testing;

void make_empty_checkpoint(const std::filesystem::path& run, std::int64_t step,
                           nlohmann::ordered_json training = {}) {
  const auto folder = checkpoint_folder(run, step);
  std::filesystem::create_directories(folder);
  Manifest manifest;
  manifest.step = step;
  manifest.training = std::move(training);
  write_text(folder / Manifest::kFileName, manifest.to_text());
}

std::vector<std::int64_t> steps(const std::filesystem::path& run) {
  std::vector<std::int64_t> steps;
  for (const auto& place : list_checkpoints(run)) steps.push_back(place.step);
  return steps;
}

TEST_CASE("only whole checkpoints are listed, in order of their steps") {
  const TemporaryFolder run;
  REQUIRE(steps(run.path()).empty());
  make_empty_checkpoint(run.path(), 100000000);
  make_empty_checkpoint(run.path(), 20);
  std::filesystem::create_directories(run / "checkpoints/step-00000030");
  std::filesystem::create_directories(run / "checkpoints/step-00000040.partial-7");
  make_empty_checkpoint(run.path(), 3);
  REQUIRE(steps(run.path()) == std::vector<std::int64_t>{3, 20, 100000000});
  remove_partial_checkpoints(run.path());
  REQUIRE_FALSE(std::filesystem::exists(run / "checkpoints/step-00000030"));
  REQUIRE_FALSE(std::filesystem::exists(run / "checkpoints/step-00000040.partial-7"));
  REQUIRE(steps(run.path()).size() == 3);
}

TEST_CASE("only our own names are checkpoints, and only those are removed") {
  REQUIRE(checkpoint_name("step-00000200")->step == 200);
  REQUIRE(checkpoint_name("step-00000200.partial-77")->ending == ".partial-77");
  for (const char* name : {"step--5", "step--0000005", "step-5", "step-000000005", "step-",
                           "step-x", "my-step-00000005", "step-99999999999999999999"})
    REQUIRE(checkpoint_name(name) == std::nullopt);
  const TemporaryFolder run;
  const std::vector<std::string> theirs = {"step--5", "step-5", "step-7.partial-of-mine",
                                           "step-00000007.partial-draft", "notes"};
  for (const auto& name : theirs) std::filesystem::create_directories(run / "checkpoints" / name);
  std::filesystem::create_directories(run / "elsewhere");
  std::filesystem::create_directory_symlink("../elsewhere", run / "checkpoints/step-00000003");
  remove_partial_checkpoints(run.path());
  for (const auto& name : theirs) REQUIRE(std::filesystem::exists(run / "checkpoints" / name));
  REQUIRE(std::filesystem::is_symlink(run / "checkpoints/step-00000003"));
}

TEST_CASE("of a checkpoint that was moved and linked, the link is deleted") {
  const TemporaryFolder run, disk;
  make_empty_checkpoint(disk.path(), 5);
  std::filesystem::create_directories(run / "checkpoints");
  std::filesystem::create_directory_symlink(checkpoint_folder(disk.path(), 5),
                                            checkpoint_folder(run.path(), 5));
  delete_checkpoint(checkpoint_folder(run.path(), 5));
  REQUIRE(steps(run.path()).empty());
  REQUIRE(steps(disk.path()) == std::vector<std::int64_t>{5});
}

TEST_CASE("a damaged manifest stops neither pruning nor the choice of the best") {
  const TemporaryFolder run;
  for (const std::int64_t step : {1, 2, 3, 4, 5})
    make_empty_checkpoint(run.path(), step, {{"validation_loss", 1.0 + static_cast<double>(step)}});
  write_text(checkpoint_folder(run.path(), 3) / Manifest::kFileName, "{}");
  const auto unreadable = prune_checkpoints(run.path(), {.keep_last = 1, .keep_best = 1});
  REQUIRE(steps(run.path()) == std::vector<std::int64_t>{1, 3, 5});  // 3 may be the best
  REQUIRE(unreadable.size() == 1);
  REQUIRE(unreadable.front().step == 3);
  REQUIRE(unreadable.front().fault.find("step-00000003") != std::string::npos);
  REQUIRE(find_checkpoint(run.path().string() + "@best") == checkpoint_folder(run.path(), 1));
}

TEST_CASE("pruning keeps the newest, and never removes the only one") {
  const TemporaryFolder run;
  for (const std::int64_t step : {1, 2, 3, 4}) make_empty_checkpoint(run.path(), step);
  prune_checkpoints(run.path(), {.keep_last = 2});
  REQUIRE(steps(run.path()) == std::vector<std::int64_t>{3, 4});
  prune_checkpoints(run.path(), {.keep_last = 0});
  REQUIRE(steps(run.path()) == std::vector<std::int64_t>{4});
}

TEST_CASE("multiples and the best stay too") {
  const TemporaryFolder run;
  const std::map<std::int64_t, double> losses = {{10, 3.0}, {20, 1.0}, {40, 2.0}, {50, 2.0}};
  for (const std::int64_t step : {10, 20, 30, 40, 50, 60}) {
    const auto loss = losses.find(step);
    make_empty_checkpoint(run.path(), step,
                          loss == losses.end()
                              ? nlohmann::ordered_json::object()
                              : nlohmann::ordered_json{{"validation_loss", loss->second}});
  }
  const auto superfluous = [&](const Retention& retention) {
    std::vector<std::int64_t> steps;
    for (const auto& place : superfluous_checkpoints(run.path(), retention))
      steps.push_back(place.step);
    return steps;
  };
  using Steps = std::vector<std::int64_t>;
  REQUIRE(superfluous({.keep_last = 2}) == Steps{10, 20, 30, 40});
  REQUIRE(superfluous({.keep_last = 1, .keep_every = 30}) == Steps{10, 20, 40, 50});
  REQUIRE(superfluous({.keep_last = 1, .keep_best = 2}) == Steps{10, 30, 50});
  REQUIRE(superfluous({.keep_last = 1, .keep_every = 20, .keep_best = 1}) == Steps{10, 30, 50});
  REQUIRE(superfluous({.keep_last = 9}).empty());
  REQUIRE(superfluous({.keep_last = 1, .keep_best = 9}) == Steps{30});
  REQUIRE(superfluous_checkpoints(run / "nothing", {.keep_last = 1}).empty());
}

TEST_CASE("a damaged checkpoint is set aside under a name that is free") {
  const TemporaryFolder run;
  for (const auto* name : {"step-00000007.corrupt", "step-00000007.corrupt-2"}) {
    make_empty_checkpoint(run.path(), 7);
    const auto aside = set_aside(checkpoint_folder(run.path(), 7));
    REQUIRE(aside == run / "checkpoints" / name);
    REQUIRE(std::filesystem::exists(aside / Manifest::kFileName));
    REQUIRE(steps(run.path()).empty());
  }
  remove_partial_checkpoints(run.path());
  REQUIRE(std::filesystem::exists(run / "checkpoints/step-00000007.corrupt"));
}

TEST_CASE("RUN_OR_CHECKPOINT") {
  const TemporaryFolder run;
  const std::string at = run.path().string();
  make_empty_checkpoint(run.path(), 10, {{"validation_loss", 3.0}});
  make_empty_checkpoint(run.path(), 20, {{"validation_loss", 2.0}});
  make_empty_checkpoint(run.path(), 30, {{"validation_loss", 2.5}});
  make_empty_checkpoint(run.path(), 40);
  REQUIRE(find_checkpoint(at) == checkpoint_folder(at, 40));
  REQUIRE(find_checkpoint(at + "@10") == checkpoint_folder(at, 10));
  REQUIRE(find_checkpoint(at + "@best") == checkpoint_folder(at, 20));
  REQUIRE(find_checkpoint(checkpoint_folder(at, 30).string()) == checkpoint_folder(at, 30));
  REQUIRE_THROWS_WITH(find_checkpoint(at + "@15"), Catch::Matchers::Contains("10, 20, 30, 40"));
  REQUIRE_THROWS_AS(find_checkpoint(at + "/nowhere"), InputError);
  REQUIRE_THROWS_AS(find_checkpoint(at + "/checkpoints"), InputError);
}

TEST_CASE("@best without any validation says how to get one") {
  const TemporaryFolder run;
  make_empty_checkpoint(run.path(), 10);
  REQUIRE_THROWS_WITH(find_checkpoint(run.path().string() + "@best"),
                      Catch::Matchers::Contains("eval.every_steps"));
}

}  // namespace
}  // namespace zebra
