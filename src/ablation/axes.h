#pragma once

#include <array>
#include <string>
#include <vector>

#include "config/report.h"
#include "config/value.h"

namespace zebra {

/// The key that arms of one group differ in.
inline constexpr const char* kSeedKey = "run.seed";

/// A layout given as a pattern makes run files ignore these keys.
inline constexpr const char* kPatternKey = "model.attention_pattern";
inline constexpr std::array<const char*, 3> kLayoutShortForms = {
    "model.self_attn_type", "model.layer_group_size", "model.global_layer"};

/// A key of a run file with the value that a sweep gives it.
struct Setting {
  std::string key;    ///< dotted
  std::string value;  ///< YAML on one line; "null" leaves the key to its default
  Origin origin;
};

/// The setting of that key, or null.
const Setting* find_setting(const std::vector<Setting>& settings, const std::string& key);

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

  bool sets_key(const std::string& key) const;
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
/// them, which the report then holds: unknown keys, keys that a sweep cannot set, empty axes, and
/// axes that contradict one another.
Grid read_grid(const Value& sweep_file, Report& report);

/// What a label says of the value: its scalars, joined by "-"; "default" for none.
std::string label_text(const Value& value);

/// `text` with "-" in place of every byte outside [A-Za-z0-9._-], which are safe in folder names.
std::string folder_name(const std::string& text);

}  // namespace zebra
