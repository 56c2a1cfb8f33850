#include "ablation/arm_problems.h"

#include <algorithm>
#include <sstream>

namespace zebra {

void ArmProblems::add(const std::string& arm, const std::string& message) {
  std::istringstream lines(message);
  for (std::string line; std::getline(lines, line);) {
    const auto known = std::ranges::find(found_, line, &Found::problem);
    if (known != found_.end()) ++known->arms;
    if (known == found_.end()) found_.push_back({line, arm, 1});
  }
}

void ArmProblems::add_to(Problems& problems) const {
  for (const auto& [problem, first_arm, arms] : found_) {
    const std::string others =
        arms == 1 ? ""
                  : " (and " + std::to_string(arms - 1) + " more arm" + (arms > 2 ? "s)" : ")");
    problems.add("arm " + first_arm + ": " + problem + others);
  }
}

}  // namespace zebra
