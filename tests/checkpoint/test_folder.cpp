#include "checkpoint/folder.h"

#include "base/error.h"
#include "checkpoint/manifest.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using namespace zebra::testing;

void make_checkpoint(const std::filesystem::path& run, std::int64_t step,
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
  make_checkpoint(run.path(), 100000000);
  make_checkpoint(run.path(), 20);
  std::filesystem::create_directories(run / "checkpoints/step-00000030");
  std::filesystem::create_directories(run / "checkpoints/step-00000040.partial-7");
  make_checkpoint(run.path(), 3);
  REQUIRE(steps(run.path()) == std::vector<std::int64_t>{3, 20, 100000000});
  remove_partial_checkpoints(run.path());
  REQUIRE_FALSE(std::filesystem::exists(run / "checkpoints/step-00000030"));
  REQUIRE_FALSE(std::filesystem::exists(run / "checkpoints/step-00000040.partial-7"));
  REQUIRE(steps(run.path()).size() == 3);
}

TEST_CASE("pruning keeps the newest, and never removes the only one") {
  const TemporaryFolder run;
  for (const std::int64_t step : {1, 2, 3, 4}) make_checkpoint(run.path(), step);
  prune_checkpoints(run.path(), 2);
  REQUIRE(steps(run.path()) == std::vector<std::int64_t>{3, 4});
  prune_checkpoints(run.path(), 0);
  REQUIRE(steps(run.path()) == std::vector<std::int64_t>{4});
}

TEST_CASE("RUN_OR_CHECKPOINT") {
  const TemporaryFolder run;
  const std::string at = run.path().string();
  make_checkpoint(run.path(), 10, {{"validation_loss", 3.0}});
  make_checkpoint(run.path(), 20, {{"validation_loss", 2.0}});
  make_checkpoint(run.path(), 30, {{"validation_loss", 2.5}});
  make_checkpoint(run.path(), 40);
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
  make_checkpoint(run.path(), 10);
  REQUIRE_THROWS_WITH(find_checkpoint(run.path().string() + "@best"),
                      Catch::Matchers::Contains("eval.every_steps"));
}

}  // namespace
}  // namespace zebra
