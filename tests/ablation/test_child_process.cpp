#include "ablation/child_process.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
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

}  // namespace
}  // namespace zebra
