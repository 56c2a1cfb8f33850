#include "ablation/slurm_array.h"

#include <cstdlib>

#include "base/file.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;

TEST_CASE("each job of the array runs its own arm, whatever the paths are called") {
  const TemporaryFolder folder;
  const auto program = folder / "it's zebra", script = folder / "array.sh";
  write_text(program, "#!/bin/sh\nfor word in \"$@\"; do echo \"$word\"; done > '" +
                          (folder / "seen").string() + "'\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  Ablation ablation;
  ablation.sweep.name = "study";
  for (const std::string name : {"full_seed-1", "local_seed-1", "local_seed-2"}) {
    Arm arm;
    arm.name = name;
    ablation.arms.push_back(arm);
  }
  write_slurm_array(ablation, "my sweep.yaml", program, script);
  const auto text = read_file(script);
  REQUIRE_THAT(text, Contains("#SBATCH --array=0-2\n"));
  REQUIRE_THAT(text, Contains("#SBATCH --job-name=study\n"));
  REQUIRE(std::system(("SLURM_ARRAY_TASK_ID=1 bash '" + script.string() + "'").c_str()) == 0);
  REQUIRE(read_file(folder / "seen") == "ablate\n" +
                                            std::filesystem::absolute("my sweep.yaml").string() +
                                            "\n--arm\nlocal_seed-1\n");
}

}  // namespace
}  // namespace zebra
