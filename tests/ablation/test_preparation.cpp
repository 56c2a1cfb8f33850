#include "ablation/preparation.h"

#include "ablation/base_run_folder.h"
#include "base/error.h"
#include "base/file.h"
#include "config/load.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

const char* const kSweep = "axes: {model.window_size: [5, 7], run.seed: [1]}\n";

TEST_CASE("each arm gets a run file that reads back to its run, and its commands") {
  const BaseRunFolder folder;
  const auto ablation = folder.ablation(kSweep);
  const auto queue = prepare(ablation, "/a/zebra");
  REQUIRE(queue.size() == 2);
  const auto& arm = queue[0];
  REQUIRE(arm.name == "window_size-5_seed-1");
  REQUIRE(arm.steps == 20);
  REQUIRE(differences(resolve(load_run_file({arm.paths.run_file}, {})), ablation.arms[0].config)
              .empty());
  REQUIRE(arm.commands.train ==
          std::vector<std::string>{"/a/zebra", "train", arm.paths.run_file.string()});
  const auto recall = join(arm.commands.recall, " ");
  // The bands are those of all arms together.
  REQUIRE_THAT(recall,
               Contains("recall " + arm.paths.run.string() +
                        " --window 7 --layers 4 --lengths 64 --tasks "
                        "associative_recall,passkey,copying,variable_tracking --items 256"));
  REQUIRE_THAT(recall, Contains("--json " + arm.paths.recall().string()));
  REQUIRE_FALSE(std::filesystem::exists(folder / "out/data"));  // no probes to train on
}

TEST_CASE("an arm that was begun with other settings is refused, and its file stays") {
  const BaseRunFolder folder;
  const auto before = prepare(folder.ablation(kSweep), "zebra");
  std::filesystem::create_directories(before[0].paths.run);
  const auto text = read_file(before[0].paths.run_file);
  const auto changed = folder / "base.yaml";
  std::string base = kBaseRun;
  base.replace(base.find("lr: 2.0e-3"), 10, "lr: 3.0e-3");
  write_text(changed, base);
  try {
    prepare(folder.ablation(kSweep), "zebra");
    FAIL("nothing was refused");
  } catch (const InputError& error) {
    // Only the one that has a run folder: the other may still change.
    REQUIRE_THAT(error.what(), Contains("arm window_size-5_seed-1: was begun with other settings: "
                                        "optimizer.lr: 0.002 -> 0.003"));
    REQUIRE_THAT(error.what(), !Contains("window_size-7"));
  }
  REQUIRE(read_file(before[0].paths.run_file) == text);

  base.replace(base.find("lr: 3.0e-3"), 10, "lr: 2.0e-3");
  base.replace(base.find("max_steps: 20"), 13, "max_steps: 30");
  write_text(changed, base);
  REQUIRE(prepare(folder.ablation(kSweep), "zebra")[0].steps == 30);  // that may change
}

}  // namespace
}  // namespace zebra
