#include "ablation/slurm_array.h"

#include <sstream>

#include "base/error.h"
#include "base/file.h"

namespace zebra {
namespace {

std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

}  // namespace

void write_slurm_array(const Ablation& ablation, const std::filesystem::path& sweep,
                       const std::filesystem::path& program, const std::filesystem::path& script) {
  const std::string ablate =
      quoted(program) + " ablate " + quoted(std::filesystem::absolute(sweep));
  std::vector<std::string> names;
  for (const auto& arm : ablation.arms) names.push_back(arm.name);
  std::ostringstream text;
  text << "#!/usr/bin/env bash\n"
       << "# The arms of " << ablation.sweep.name << " as an array of jobs. Afterwards:\n"
       << "#   " << ablate << " --report\n"
       << "#SBATCH --job-name=" << ablation.sweep.name << "\n"
       << "#SBATCH --array=0-" << names.size() - 1 << "\n"
       << "#SBATCH --ntasks=1\n"
       << "#SBATCH --requeue\n"
       << "# Two minutes to save before the time limit; the job goes on when it is queued again.\n"
       << "#SBATCH --signal=B:TERM@120\n"
       << "# Add what your cluster wants: --partition, --time, --gpus=1, --cpus-per-task, …\n"
       << "cd " << quoted(std::filesystem::current_path()) << "\n"
       << "arms=(" << join(names, " ") << ")\n"
       << "exec " << ablate << " --arm \"${arms[$SLURM_ARRAY_TASK_ID]}\"\n";
  write_file_atomically(script, text.str());
  std::filesystem::permissions(script, std::filesystem::perms::owner_exec,
                               std::filesystem::perm_options::add);
}

}  // namespace zebra
