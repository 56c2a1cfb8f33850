#include "ablation/arm_run.h"

#include <chrono>
#include <csignal>
#include <thread>

#include "base/file.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using namespace zebra::testing;

void wait_for(ArmRun& run) {
  while (!run.poll()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

void wait_until_exists(ArmRun& run, const std::filesystem::path& path) {
  while (!std::filesystem::exists(path)) {
    run.poll();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

struct Fixture {
  Fixture() : paths((std::filesystem::create_directories(folder / "arms/a"), folder.path()), "a") {}

  // Shell scripts in place of the trainer and of the measurement.
  ArmRun run(const std::string& train, const std::string& recall) const {
    return {paths, {{"/bin/sh", "-c", train}, {"/bin/sh", "-c", recall}, {{"ARM", "a"}}}};
  }
  std::string finish_training() const {
    return "echo '{\"state\": \"finished\"}' > " + (paths.run / "status.json").string();
  }
  std::string measure() const { return "echo '{}' > " + paths.recall().string(); }

  TemporaryFolder folder;
  ArmPaths paths;
};

TEST_CASE("an arm is trained, then measured") {
  const Fixture fixture;
  auto run = fixture.run("echo training $ARM; " + fixture.finish_training(),
                         "echo measuring $ARM; " + fixture.measure());
  REQUIRE(run.phase() == ArmRun::Phase::waiting);
  wait_for(run);
  REQUIRE(read_arm_status(fixture.paths).state == ArmState::finished);
  REQUIRE(read_file(fixture.paths.log) == "training a\nmeasuring a\n");
}

TEST_CASE("a failure is recorded with its reason, and forgotten by the next attempt") {
  const Fixture fixture;
  auto failing = fixture.run("echo 'the disk is full'; exit 1", "echo never");
  wait_for(failing);
  REQUIRE(read_arm_status(fixture.paths).reason ==
          "training ended with exit status 1: the disk is full");
  auto diverging =
      fixture.run("echo '{\"state\": \"failed\", \"reason\": \"diverged: badly\"}' > " +
                      (fixture.paths.run / "status.json").string() + "; exit 1",
                  "echo never");
  wait_for(diverging);
  REQUIRE(read_arm_status(fixture.paths).reason ==
          "training ended with exit status 1: diverged: badly");
  REQUIRE(read_arm_status(fixture.paths).is_final);
  auto unmeasured = fixture.run(fixture.finish_training(), "echo 'no data' >&2; exit 2");
  wait_for(unmeasured);
  REQUIRE(read_arm_status(fixture.paths).reason ==
          "measuring recall ended with exit status 2: no data");
  auto good = fixture.run(fixture.finish_training(), fixture.measure());
  wait_for(good);
  REQUIRE(read_arm_status(fixture.paths).state == ArmState::finished);
}

TEST_CASE("a stopped arm is neither finished nor failed") {
  const Fixture fixture;
  const auto alive = fixture.folder / "alive";
  auto run =
      fixture.run("trap 'exit 75' TERM; touch " + alive.string() + "; while :; do sleep 0.02; done",
                  fixture.measure());
  wait_until_exists(run, alive);
  REQUIRE(run.phase() == ArmRun::Phase::training);
  run.stop(SIGTERM);
  wait_for(run);
  REQUIRE(read_arm_status(fixture.paths).state == ArmState::unfinished);
  REQUIRE_FALSE(std::filesystem::exists(fixture.paths.recall()));
}

TEST_CASE("two runs of one arm follow one another") {
  const Fixture fixture;
  const auto alive = fixture.folder / "alive", go_on = fixture.folder / "go-on";
  const auto script = "touch " + alive.string() + "; while [ ! -e " + go_on.string() +
                      " ]; do sleep 0.02; done; echo first";
  auto first = fixture.run(script, "true");
  wait_until_exists(first, alive);
  auto second = fixture.run("echo second", "true");
  REQUIRE_FALSE(second.poll());
  REQUIRE(second.phase() == ArmRun::Phase::waiting);
  write_text(go_on, "");
  wait_for(first);
  wait_for(second);
  REQUIRE(read_file(fixture.paths.log) == "first\nsecond\n");
}

TEST_CASE("an arm that is stopped while it waits never starts") {
  const Fixture fixture;
  ArmLock lock(fixture.paths.lock);
  REQUIRE(lock.try_to_take());
  auto run = fixture.run("echo started", "true");
  REQUIRE_FALSE(run.poll());
  run.stop(SIGTERM);
  REQUIRE(run.poll());
  REQUIRE_FALSE(std::filesystem::exists(fixture.paths.log));
}

}  // namespace
}  // namespace zebra
