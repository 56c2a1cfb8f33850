#include "ablation/arm_queue.h"

#include "base/file.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using namespace zebra::testing;

struct Fixture {
  // A shell script in place of the trainer; its measurement always succeeds.
  QueuedArm arm(const std::string& name, const std::string& train) const {
    const ArmPaths paths(folder.path(), name);
    std::filesystem::create_directories(paths.run);
    const std::string finish =
        "; echo '{\"state\": \"finished\"}' > " + (paths.run / "status.json").string();
    return {name,
            paths,
            {{"/bin/sh", "-c", train + finish},
             {"/bin/sh", "-c", "echo '{}' > " + paths.recall().string()},
             {}},
            /*steps=*/3};
  }
  ArmState state(const std::string& name) const {
    return read_arm_status(ArmPaths(folder.path(), name)).state;
  }
  std::string order() const { return read_file(folder / "order"); }
  std::string say(const std::string& word) const {
    return "echo " + word + " >> " + (folder / "order").string();
  }

  TemporaryFolder folder;
};

TEST_CASE("arms run in order, a failure stops no other, and what is over is passed over") {
  const Fixture fixture;
  const std::vector<QueuedArm> arms = {fixture.arm("one", fixture.say("one")),
                                       fixture.arm("bad", fixture.say("bad") + "; exit 1"),
                                       fixture.arm("two", fixture.say("two"))};
  run_arms(arms, JobSlots(1));
  REQUIRE(fixture.order() == "one\nbad\ntwo\n");
  REQUIRE(fixture.state("one") == ArmState::finished);
  REQUIRE(fixture.state("bad") == ArmState::failed);
  REQUIRE(fixture.state("two") == ArmState::finished);

  run_arms(arms, JobSlots(1));  // the failed one has another try
  REQUIRE(fixture.order() == "one\nbad\ntwo\nbad\n");
  write_text(arms[1].paths.run / "status.json",
             R"({"state": "failed", "reason": "diverged: badly"})");
  run_arms(arms, JobSlots(1));  // but not one that would end alike
  REQUIRE(fixture.order() == "one\nbad\ntwo\nbad\n");
}

TEST_CASE("as many arms at a time as there are slots, each with its slot's variables") {
  const Fixture fixture;
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

}  // namespace
}  // namespace zebra
