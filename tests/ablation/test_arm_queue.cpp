#include "ablation/arm_queue.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using namespace zebra::testing;

ExitReport wait_for(ChildProcess& child) {
  while (!child.has_ended()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return child.report();
}

ExitReport run(const std::string& script, const std::filesystem::path& log,
               const ChildProcess::Variables& variables = {}) {
  ChildProcess child({"/bin/sh", "-c", script}, variables, log);
  return wait_for(child);
}

TEST_CASE("a child's exit status, signal and output come back") {
  const TemporaryFolder folder;
  const auto log = folder.path() / "log";
  REQUIRE(run("echo one; echo two >&2", log).is_done());
  const auto failed = run("echo three; exit 3", log);
  REQUIRE(failed.status == 3);
  REQUIRE_FALSE(failed.is_done());
  REQUIRE(failed.text() == "exit status 3");
  const auto killed = run("kill -9 $$", log);
  REQUIRE(killed.signal == 9);
  REQUIRE(killed.text() == "signal 9 (Killed)");
  REQUIRE(read_file(log) == "one\ntwo\nthree\n");
}

TEST_CASE("a child sees its variables and the rest of the environment") {
  const TemporaryFolder folder;
  const auto log = folder.path() / "log";
  ::setenv("ZEBRA_TEST_KEPT", "kept", 1);
  ::setenv("ZEBRA_TEST_REPLACED", "old", 1);
  REQUIRE(run("echo $ZEBRA_TEST_KEPT $ZEBRA_TEST_REPLACED $ZEBRA_TEST_ADDED", log,
              {{"ZEBRA_TEST_REPLACED", "new"}, {"ZEBRA_TEST_ADDED", "added"}})
              .is_done());
  REQUIRE(read_file(log) == "kept new added\n");
}

TEST_CASE("a program that does not exist is an exit, a log that cannot be made an error") {
  const TemporaryFolder folder;
  ChildProcess child({"/no/such/program"}, {}, folder.path() / "log");
  REQUIRE(wait_for(child).status == 127);
  REQUIRE_THROWS_AS(ChildProcess({"/bin/true"}, {}, folder.path() / "no" / "log"), RunError);
}

TEST_CASE("a child ends when its parent dies") {
  const TemporaryFolder folder;
  const auto alive = (folder.path() / "alive").string(), ended = (folder.path() / "ended").string();
  const std::string script =
      "trap 'touch " + ended + "; exit 0' TERM; touch " + alive + "; while :; do sleep 0.02; done";
  const pid_t parent = ::fork();
  if (parent == 0) {
    ChildProcess child({"/bin/sh", "-c", script}, {}, folder.path() / "log");
    for (;;) ::pause();
  }
  const auto wait_until_exists = [](const std::string& path) {
    while (!std::filesystem::exists(path))
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
  };
  wait_until_exists(alive);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  wait_until_exists(ended);
}

TEST_CASE("an object that goes away stops its child") {
  const TemporaryFolder folder;
  const auto ended = folder.path() / "ended", alive = folder.path() / "alive";
  {
    ChildProcess child({"/bin/sh", "-c",
                        "trap 'touch " + ended.string() + "; exit 0' TERM; touch " +
                            alive.string() + "; while :; do sleep 0.02; done"},
                       {}, folder.path() / "log");
    while (!std::filesystem::exists(alive))
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  REQUIRE(std::filesystem::exists(ended));
}

void wait_for(ArmRun& run) {
  while (!run.poll()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

void wait_until_exists(ArmRun& run, const std::filesystem::path& path) {
  while (!std::filesystem::exists(path)) {
    run.poll();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

const ArmGoal kGoal = {3, R"({"items": 6})"};
constexpr const char* kFinished = R"({"state": "finished", "step": 3})";

struct OneArm {
  OneArm() : paths((std::filesystem::create_directories(folder / "arms/a"), folder.path()), "a") {}

  // Shell scripts in place of the trainer and of the measurement.
  ArmRun run(const std::string& train, const std::string& recall) const {
    return {paths, kGoal, {{"/bin/sh", "-c", train}, {"/bin/sh", "-c", recall}, {{"ARM", "a"}}}};
  }
  std::string finish_training() const {
    return std::string("echo '") + kFinished + "' > " + (paths.run / "status.json").string();
  }
  std::string measure(const std::string& asked = R"({"items": 6})") const {
    return "echo '{\"step\": 3, \"asked\": " + asked + "}' > " + paths.recall().string();
  }
  ArmStatus status() const { return read_arm_status(paths, kGoal); }

  TemporaryFolder folder;
  ArmPaths paths;
};

struct ManyArms {
  // A shell script in place of the trainer; its measurement always succeeds.
  QueuedArm arm(const std::string& name, const std::string& train) const {
    const ArmPaths paths(folder.path(), name);
    std::filesystem::create_directories(paths.run);
    const auto finish =
        std::string("; echo '") + kFinished + "' > " + (paths.run / "status.json").string();
    const auto measure =
        R"(echo '{"step": 3, "asked": {"items": 6}}' > )" + paths.recall().string();
    return {
        name, paths, kGoal, {{"/bin/sh", "-c", train + finish}, {"/bin/sh", "-c", measure}, {}}};
  }
  ArmState state(const std::string& name) const {
    return read_arm_status(ArmPaths(folder.path(), name), kGoal).state;
  }
  std::string order() const { return read_file(folder / "order"); }
  std::string say(const std::string& word) const {
    return "echo " + word + " >> " + (folder / "order").string();
  }

  TemporaryFolder folder;
};

TEST_CASE("arms run in order, a failure stops no other, and what is over is passed over") {
  const ManyArms fixture;
  const std::vector<QueuedArm> arms = {fixture.arm("one", fixture.say("one")),
                                       fixture.arm("bad", fixture.say("bad") + "; exit 1"),
                                       fixture.arm("two", fixture.say("two"))};
  run_arms(arms, JobSlots(1));
  REQUIRE(fixture.order() == "one\nbad\ntwo\n");
  REQUIRE(fixture.state("one") == ArmState::finished);
  REQUIRE(fixture.state("bad") == ArmState::failed);
  REQUIRE(fixture.state("two") == ArmState::finished);
  REQUIRE(count_failed(arms) == 1);

  run_arms(arms, JobSlots(1));  // the failed one has another try
  REQUIRE(fixture.order() == "one\nbad\ntwo\nbad\n");
  write_text(arms[1].paths.run / "status.json",
             R"({"state": "failed", "reason": "diverged: badly"})");
  run_arms(arms, JobSlots(1));  // but not one that would end alike
  REQUIRE(fixture.order() == "one\nbad\ntwo\nbad\n");
}

TEST_CASE("as many arms at a time as there are slots, each with its slot's variables") {
  const ManyArms fixture;
  // Each waits for the other: one at a time would never end.
  const auto meet = [&](const std::string& own, const std::string& other) {
    const auto file = [&](const std::string& name) { return (fixture.folder / name).string(); };
    return "echo $SLOT > " + file(own) + "; while [ ! -e " + file(other) +
           " ]; do sleep 0.02; done";
  };
  run_arms({fixture.arm("a", meet("at-a", "at-b")), fixture.arm("b", meet("at-b", "at-a")),
            fixture.arm("c", "echo $SLOT > " + (fixture.folder / "at-c").string())},
           {{{"SLOT", "left"}}, {{"SLOT", "right"}}});
  REQUIRE(read_file(fixture.folder / "at-a") == "left\n");
  REQUIRE(read_file(fixture.folder / "at-b") == "right\n");
  REQUIRE(fixture.state("c") == ArmState::finished);
}

TEST_CASE("slots share the processors, and have a GPU each") {
  ::unsetenv("OMP_NUM_THREADS");
  REQUIRE(job_slots(1, true) == JobSlots(1));
  const auto threads = std::to_string(std::max(1U, std::thread::hardware_concurrency() / 2));
  REQUIRE(job_slots(2, true) ==
          JobSlots{{{"OMP_NUM_THREADS", threads}, {"CUDA_VISIBLE_DEVICES", "0"}},
                   {{"OMP_NUM_THREADS", threads}, {"CUDA_VISIBLE_DEVICES", "1"}}});
  REQUIRE(job_slots(2, false) == JobSlots(2, {{"OMP_NUM_THREADS", threads}}));
}

TEST_CASE("an arm is trained, then measured") {
  const OneArm fixture;
  auto run = fixture.run("echo training $ARM; " + fixture.finish_training(),
                         "echo measuring $ARM; " + fixture.measure());
  REQUIRE(run.phase() == ArmRun::Phase::waiting);
  wait_for(run);
  REQUIRE(fixture.status().state == ArmState::finished);
  REQUIRE(read_file(fixture.paths.log) == "training a\nmeasuring a\n");
}

TEST_CASE("a trained arm that is asked something else is measured without training again") {
  const OneArm fixture;
  auto first = fixture.run("echo training; " + fixture.finish_training(),
                           "echo measuring; " + fixture.measure(R"({"items": 5})"));
  wait_for(first);
  REQUIRE(fixture.status().state == ArmState::unfinished);
  REQUIRE(fixture.status().is_trained);
  auto second = fixture.run("echo again", "echo anew; " + fixture.measure());
  wait_for(second);
  REQUIRE(fixture.status().state == ArmState::finished);
  auto third = fixture.run("echo again", "echo again");  // it is finished when its turn comes
  wait_for(third);
  REQUIRE(read_file(fixture.paths.log) == "training\nmeasuring\nanew\n");
}

TEST_CASE("a failure is recorded with its reason, and forgotten by the next attempt") {
  const OneArm fixture;
  auto failing = fixture.run("echo 'the disk is full'; exit 1", "echo never");
  wait_for(failing);
  REQUIRE(fixture.status().reason == "training ended with exit status 1: the disk is full");
  auto diverging =
      fixture.run("echo '{\"state\": \"failed\", \"reason\": \"diverged: badly\"}' > " +
                      (fixture.paths.run / "status.json").string() + "; exit 1",
                  "echo never");
  wait_for(diverging);
  REQUIRE(fixture.status().reason == "training ended with exit status 1: diverged: badly");
  REQUIRE(fixture.status().is_final);
  auto unmeasured = fixture.run(fixture.finish_training(), "echo 'no data' >&2; exit 2");
  wait_for(unmeasured);
  REQUIRE(fixture.status().reason == "measuring recall ended with exit status 2: no data");
  auto good = fixture.run(fixture.finish_training(), fixture.measure());
  wait_for(good);
  REQUIRE(fixture.status().state == ArmState::finished);
}

TEST_CASE("a stopped arm is neither finished nor failed") {
  const OneArm fixture;
  const auto alive = fixture.folder / "alive";
  auto run =
      fixture.run("trap 'exit 75' TERM; touch " + alive.string() + "; while :; do sleep 0.02; done",
                  fixture.measure());
  wait_until_exists(run, alive);
  REQUIRE(run.phase() == ArmRun::Phase::training);
  run.stop(SIGTERM);
  wait_for(run);
  REQUIRE(fixture.status().state == ArmState::unfinished);
  REQUIRE_FALSE(std::filesystem::exists(fixture.paths.recall()));
}

TEST_CASE("two runs of one arm follow one another") {
  const OneArm fixture;
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
  const OneArm fixture;
  FileLock lock(fixture.paths.lock);
  REQUIRE(lock.try_to_take());
  auto run = fixture.run("echo started", "true");
  REQUIRE_FALSE(run.poll());
  run.stop(SIGTERM);
  REQUIRE(run.poll());
  REQUIRE_FALSE(std::filesystem::exists(fixture.paths.log));
}

}  // namespace
}  // namespace zebra
