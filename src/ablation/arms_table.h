#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "ablation/arms.h"

namespace zebra {

/// The arms and what each will cost, one a line, with a total: for people. There is at least one.
std::string arms_table(const std::vector<Arm>& arms);

/// The same as {"arms": […], "total": {…}}; settings are YAML texts by key.
nlohmann::ordered_json arms_json(const std::vector<Arm>& arms);

/// A pattern of layers as a table can show it: up to 12 letters as they are, longer ones as
/// "GLLL x 8", "GLL x 10 + GL", or, where nothing repeats, "GLGGLLGLLGGL... (32)".
std::string short_pattern(const std::string& pattern);

}  // namespace zebra
