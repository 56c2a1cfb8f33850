#pragma once

#include <string>
#include <vector>

#include "ablation/combinations.h"
#include "ablation/sweep_file.h"
#include "base/error.h"
#include "config/config.h"
#include "config/value.h"

namespace zebra {

/// The keys that the base run files give, merged; what they leave out is not there. Adds to
/// `problems` what cannot be read or parsed.
Value read_base(const Sweep& sweep, Problems& problems);

/// run.seed of the base as YAML.
std::string seed_of_base(const Value& base);

/// Adds the settings of layouts that a pattern in the base makes ineffective.
void check_base_pattern(const Value& base, const std::vector<Combination>& combinations,
                        Problems& problems);

/// The run file of one arm. Throws InputError, in which a setting's problem stands at its
/// place in the sweep file.
RunFile load_arm(const Sweep& sweep, const Combination& combination);

/// The run file of the base alone, with which budgets compare. Throws InputError.
RunFile load_base(const Sweep& sweep);

}  // namespace zebra
