#pragma once

#include <string>
#include <vector>

#include "config/report.h"
#include "config/value.h"

namespace zebra {

/// A key of a run file with the value that a sweep gives it.
struct Setting {
  std::string key;    ///< dotted
  std::string value;  ///< YAML on one line; "null" leaves the key to its default
  Origin origin;
};

/// One value of an axis: what it is called, and the keys that it sets (none: the base as it is).
struct AxisValue {
  std::string label;
  std::vector<Setting> settings;
  Origin origin;
};

/// Alternatives of which each arm has one.
struct Axis {
  std::string name;  ///< a key of run files, "zip", "arms", or a name of the user's
  std::string path;  ///< where it stands in the sweep file: "axes.model.window_size", "zip"
  Origin origin;
  std::vector<AxisValue> values;
};

/// Combinations to leave out: those that match every condition.
struct Exclusion {
  struct Condition {
    std::string name;                 ///< a key, or the name of an axis
    std::vector<std::string> values;  ///< any of them: YAML on one line, or labels
  };
  std::string path;
  Origin origin;
  std::vector<Condition> conditions;
};

/// What forms the arms of a sweep: every combination of the axes' values that no exclusion matches.
struct Grid {
  std::vector<Axis> axes;
  std::vector<Exclusion> exclusions;
};

/// Reads `axes`, `zip`, `arms` and `exclude` of a sweep file; empty when something is wrong with
/// them, which the report then holds: unknown keys, empty axes, and axes that contradict one
/// another.
Grid read_grid(const Value& sweep_file, Report& report);

/// Whether an axis sets the key.
bool sets_key(const Axis& axis, const std::string& key);

}  // namespace zebra
