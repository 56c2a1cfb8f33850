#pragma once

#include <string>
#include <vector>

#include "ablation/sweep_file.h"
#include "base/error.h"
#include "config/config.h"
#include "config/value.h"

// From the axes of a sweep to the configurations of its arms: combinations of settings, laid on top
// of the base run files.

namespace zebra {

/// One arm before its run file is read.
struct Combination {
  std::string group;  ///< labels of all axes but the seeds, joined; "base" when there are none
  std::string seed;   ///< YAML
  std::string layout, size;       ///< of a LadderPoint; empty without a ladder
  std::vector<Setting> settings;  ///< in the order of the axes, the seed last

  /// "GROUP_seed-N", safe as the name of a folder.
  std::string name() const;
};

/// Every combination of the axes that no exclusion matches, the seeds of a group one after another;
/// `base_seed` where no axis gives seeds. Adds to `problems` exclusions that match nothing or leave
/// nothing, and names that two combinations would share or that are too long.
std::vector<Combination> combinations_of(const Grid& grid, const std::string& base_seed,
                                         Problems& problems);

/// The keys that the base run files give, merged; what they leave out is not there. Adds to
/// `problems` what cannot be read or parsed.
Value read_base(const SweepFile& file, Problems& problems);

/// run.seed of the base as YAML.
std::string seed_of_base(const Value& base);

/// Adds the settings of layouts that a pattern in the base makes ineffective.
void check_base_pattern(const Value& base, const std::vector<Combination>& combinations,
                        Problems& problems);

/// The configuration of one arm. Throws InputError, in which a setting's problem stands at its
/// place in the sweep file.
RunFile load_arm(const SweepFile& file, const Combination& combination);

/// The configuration of the base alone, with which budgets compare. Throws InputError.
RunFile load_base(const SweepFile& file);

}  // namespace zebra
