#pragma once

#include <string>
#include <vector>

#include "ablation/sweep_axes.h"
#include "base/error.h"

namespace zebra {

/// One arm before its run file is read.
struct Combination {
  std::string group;  ///< labels of all axes but the seeds, joined; "base" when there are none
  std::string seed;   ///< YAML
  std::vector<Setting> settings;  ///< in the order of the axes, the seed last

  /// "GROUP_seed-N", safe as the name of a folder.
  std::string name() const;
};

/// Every combination of the axes that no exclusion matches, the seeds of a group one after another;
/// `base_seed` where no axis gives seeds. Adds to `problems` exclusions that match nothing or leave
/// nothing, and names that two combinations would share or that are too long.
std::vector<Combination> combinations_of(const Grid& grid, const std::string& base_seed,
                                         Problems& problems);

}  // namespace zebra
