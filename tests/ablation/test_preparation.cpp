#include "ablation/preparation.h"

#include <cstdlib>

#include "ablation/base_run_folder.h"
#include "base/error.h"
#include "base/file.h"
#include "base/system.h"
#include "config/load.h"
#include "support/catch.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

const char* const kSweep = "axes: {model.window_size: [5, 7], run.seed: [1]}\n";

TEST_CASE("each arm gets a run file that reads back to its run, and its commands") {
  const BaseRunFolder folder;
  const auto sweep = folder.sweep(kSweep);
  const auto queue = prepare(sweep, "/a/zebra");
  REQUIRE(queue.size() == 2);
  const auto& arm = queue[0];
  REQUIRE(arm.name == "window_size-5_seed-1");
  REQUIRE(arm.goal.steps == 20);
  REQUIRE(
      differences(resolve(load_run_file({arm.paths.run_file}, {})), sweep.arms[0].config).empty());
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

std::string refusal_of_fit(const std::vector<Arm>& arms, int jobs) {
  Problems problems;
  check_fit(arms, jobs, problems);
  return problems.empty() ? "accepted" : join(problems.all(), "\n");
}

// Arms on the CPU whose weights, gradients and moments alone take this share of its memory: 16
// bytes for each of the 2 x 48 parameters of a piece of the vocabulary.
std::vector<Arm> arms_of_size(double share_of_memory) {
  const BaseRunFolder folder;
  auto arms = folder.arms("axes: {run.device: [cpu], run.seed: [1, 2, 3]}\n");
  const double pieces = share_of_memory * static_cast<double>(memory_of_machine()) / (16 * 2 * 48);
  for (auto& arm : arms) arm.config.model.vocab_size = static_cast<std::int64_t>(pieces);
  return arms;
}

TEST_CASE("every arm that cannot fit is named, one that can is not") {
  auto arms = arms_of_size(1.01);
  arms[1] = arms_of_size(0.01)[1];
  const auto message = refusal_of_fit(arms, 1);
  INFO(message);
  REQUIRE(message.find("arm " + arms[0].name + ": training takes some") != std::string::npos);
  REQUIRE(message.find("arm " + arms[2].name + ": training takes some") != std::string::npos);
  REQUIRE(message.find(arms[1].name) == std::string::npos);
}

TEST_CASE("arms at the same time must fit together") {
  const auto arms = arms_of_size(0.4);
  REQUIRE(refusal_of_fit(arms, 1) == "accepted");
  REQUIRE(refusal_of_fit(arms, 3).find("--jobs 3: the largest arms take some") !=
          std::string::npos);
  REQUIRE(refusal_of_fit(arms_of_size(0.01), 3) == "accepted");
}

TEST_CASE("each job of the array runs its own arm, whatever the paths are called") {
  const TemporaryFolder folder;
  const auto program = folder / "it's zebra", script = folder / "array.sh";
  write_text(program, "#!/bin/sh\nfor word in \"$@\"; do echo \"$word\"; done > '" +
                          (folder / "seen").string() + "'\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  Sweep sweep;
  sweep.file.name = "a study";
  for (const std::string name : {"full_seed-1", "local $(touch x)_seed-1", "local_seed-2"}) {
    Arm arm;
    arm.name = name;
    sweep.arms.push_back(arm);
  }
  write_slurm_array(sweep, "my sweep.yaml", program, script);
  const auto text = read_file(script);
  REQUIRE_THAT(text, Contains("#SBATCH --array=0-2\n"));
  REQUIRE_THAT(text, Contains("#SBATCH --job-name='a study'\n"));
  REQUIRE(std::system(("SLURM_ARRAY_TASK_ID=1 bash '" + script.string() + "'").c_str()) == 0);
  REQUIRE(read_file(folder / "seen") == "ablate\n" +
                                            std::filesystem::absolute("my sweep.yaml").string() +
                                            "\n--arm\nlocal $(touch x)_seed-1\n");
}

}  // namespace
}  // namespace zebra
