#include "ablation/combinations.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <utility>

#include "ablation/sweep_folder.h"
#include "base/file.h"
#include "config/load.h"
#include "config/yaml.h"

namespace zebra {
namespace {

constexpr std::size_t kMostCombinations = 10000;
constexpr std::size_t kLongestName = 200;  // file systems allow 255, and logs add an ending

/// What an exclusion can ask for: the value of each axis, by the keys that it sets and by its
/// label.
using ChosenValues = std::vector<std::pair<const Axis*, const AxisValue*>>;

/// Whether two values, as one_line_yaml writes them, are the same: equal numbers, or equal text.
bool is_same_value(const std::string& a, const std::string& b) {
  if (a == b) return true;
  const auto integer_a = integer_from(a), integer_b = integer_from(b);
  if (integer_a && integer_b) return *integer_a == *integer_b;
  const auto number_a = number_from(a), number_b = number_from(b);
  return number_a && number_b && *number_a == *number_b;
}

std::string yaml_of_label(const std::string& label) {
  Value value;
  value.kind = Value::Kind::scalar;
  value.scalar = label;
  return one_line_yaml(value);
}

bool matches(const Exclusion::Condition& condition, const ChosenValues& chosen) {
  const auto is_wanted = [&](const std::string& yaml) {
    return std::ranges::any_of(condition.values,
                               [&](const auto& wanted) { return is_same_value(wanted, yaml); });
  };
  return std::ranges::any_of(chosen, [&](const auto& choice) {
    const auto& [axis, value] = choice;
    if (axis->name == condition.name && is_wanted(yaml_of_label(value->label))) return true;
    return std::ranges::any_of(value->settings, [&](const Setting& setting) {
      return setting.key == condition.name && is_wanted(setting.value);
    });
  });
}

bool matches(const Exclusion& exclusion, const ChosenValues& chosen) {
  return std::ranges::all_of(exclusion.conditions,
                             [&](const auto& condition) { return matches(condition, chosen); });
}

Combination combine(const ChosenValues& chosen, const std::string& base_seed) {
  Combination combination;
  combination.seed = base_seed;
  std::vector<std::string> labels, labels_of_layout;
  for (const auto& [axis, value] : chosen) {
    combination.settings.insert(combination.settings.end(), value->settings.begin(),
                                value->settings.end());
    if (axis->name == kSeedKey) {
      combination.seed = value->settings.front().value;
    } else {
      labels.push_back(value->label);
      if (axis->path == kLadderSizes) combination.size = value->label;
      if (!axis->path.starts_with("ladder.")) labels_of_layout.push_back(value->label);
    }
  }
  const auto name_of = [](const std::vector<std::string>& parts) {
    return parts.empty() ? "base" : folder_name(join(parts, "_"));
  };
  combination.group = name_of(labels);
  if (!combination.size.empty()) combination.layout = name_of(labels_of_layout);
  return combination;
}

/// The last axis varies first, so the seeds of a group stand together.
std::vector<const Axis*> axes_with_seeds_last(const Grid& grid) {
  std::vector<const Axis*> axes;
  for (const Axis& axis : grid.axes) axes.push_back(&axis);
  std::stable_partition(axes.begin(), axes.end(),
                        [](const Axis* axis) { return axis->name != kSeedKey; });
  return axes;
}

/// Combination number `index`, the last axis varying first.
ChosenValues chosen_values(const std::vector<const Axis*>& axes, std::size_t index) {
  ChosenValues chosen(axes.size());
  for (std::size_t i = axes.size(); i-- > 0;) {
    const std::size_t count = axes[i]->values.size();
    chosen[i] = {axes[i], &axes[i]->values[index % count]};
    index /= count;
  }
  return chosen;
}

void check_names(const std::vector<Combination>& combinations, Problems& problems) {
  std::set<std::string> names;
  for (const Combination& combination : combinations) {
    const std::string name = combination.name();
    if (!names.insert(name).second) {
      problems.add("two arms would be called " + name +
                   "; give the values of one axis names (axes: {NAME: {LABEL: {KEY: VALUE}}})");
    }
    if (name.size() > kLongestName) {
      problems.add("the arm " + name + " has a name of " + std::to_string(name.size()) +
                   " letters, too long for a folder; give the values of an axis names (axes: "
                   "{NAME: {LABEL: {KEY: VALUE}}})");
    }
  }
}

/// The value that the file gives the key of a section, or null.
const Value* find_value(const Value& root, const std::string& section, const std::string& name) {
  const Entry* outer = root.find(section);
  const Entry* inner = outer == nullptr ? nullptr : outer->value.find(name);
  const bool is_given = inner != nullptr && inner->value.kind != Value::Kind::null;
  return is_given ? &inner->value : nullptr;
}

std::string override_text(const Setting& setting) { return setting.key + "=" + setting.value; }

/// The loader places a setting's problem at the override that it was given as; here it stands in a
/// file.
std::string with_places(const std::string& message, const std::vector<Setting>& settings) {
  std::istringstream lines(message);
  std::vector<std::string> placed;
  for (std::string line; std::getline(lines, line);) {
    for (const Setting& setting : settings) {
      const std::string place = "--set " + override_text(setting) + ": ";
      if (line.starts_with(place)) {
        line = setting.origin.text() + ": " + line.substr(place.size());
        break;
      }
    }
    placed.push_back(line);
  }
  return join(placed, "\n");
}

std::vector<std::filesystem::path> base_files(const SweepFile& file) {
  return {file.base.begin(), file.base.end()};
}

}  // namespace

std::string Combination::name() const { return group + "_seed-" + folder_name(seed); }

std::vector<Combination> combinations_of(const Grid& grid, const std::string& base_seed,
                                         Problems& problems) {
  const std::vector<const Axis*> axes = axes_with_seeds_last(grid);
  std::size_t count = 1;
  for (const Axis* axis : axes)
    count = std::min(count * axis->values.size(), kMostCombinations + 1);
  if (count > kMostCombinations) {
    problems.add("the axes have more than " + std::to_string(kMostCombinations) +
                 " combinations; give fewer axes or values");
    return {};
  }
  std::vector<Combination> combinations;
  std::vector<bool> has_matched(grid.exclusions.size(), false);
  for (std::size_t index = 0; index < count; ++index) {
    const ChosenValues chosen = chosen_values(axes, index);
    bool is_excluded = false;
    for (std::size_t i = 0; i < grid.exclusions.size(); ++i) {
      if (!matches(grid.exclusions[i], chosen)) continue;
      is_excluded = has_matched[i] = true;
    }
    if (!is_excluded) combinations.push_back(combine(chosen, base_seed));
  }
  for (std::size_t i = 0; i < grid.exclusions.size(); ++i) {
    if (has_matched[i]) continue;
    problems.add(grid.exclusions[i].origin.text() + ": " + grid.exclusions[i].path +
                 ": matches no combination of the axes; correct it, or remove it");
  }
  if (combinations.empty()) {
    problems.add(grid.exclusions.front().origin.text() +
                 ": exclude: leaves no combination of the axes; remove a rule");
  }
  check_names(combinations, problems);
  return combinations;
}

Value read_base(const SweepFile& file, Problems& problems) {
  Value merged;
  merged.kind = Value::Kind::map;
  for (const std::string& path : file.base) {
    try {
      merge(merged, parse_yaml(read_text_input(path), path));
    } catch (const InputError& error) {
      problems.add(std::string("base: ") + error.what());
    }
  }
  return merged;
}

std::string seed_of_base(const Value& base) {
  const Value* seed = find_value(base, "run", "seed");
  try {
    return seed == nullptr ? std::to_string(RunSection{}.seed) : one_line_yaml(*seed);
  } catch (const InputError&) {
    return label_text(*seed);  // the arms' own files report the variable
  }
}

void check_base_pattern(const Value& base, const std::vector<Combination>& combinations,
                        Problems& problems) {
  const Value* pattern = find_value(base, "model", "attention_pattern");
  if (pattern == nullptr) return;
  std::set<std::string> reported;
  for (const Combination& combination : combinations) {
    if (find_setting(combination.settings, kPatternKey) != nullptr) continue;
    for (const Setting& setting : combination.settings) {
      for (const char* key : kLayoutShortForms) {
        if (setting.key != key || !reported.insert(setting.origin.text() + key).second) continue;
        problems.add(setting.origin.text() + ": " + key + ": has no effect, because " +
                     pattern->origin.text() + " gives " + kPatternKey +
                     ", which overrides it; remove the pattern there");
      }
    }
  }
}

RunFile load_arm(const SweepFile& file, const Combination& combination) {
  const std::string name = combination.name();
  std::vector<std::string> overrides = {"run.dir=" + yaml_text(ArmPaths(file.dir, name).run),
                                        "run.name=" + yaml_text(name)};
  for (const Setting& setting : combination.settings)
    if (setting.key != kTokensPerParameter) overrides.push_back(override_text(setting));
  try {
    return load_run_file(base_files(file), overrides);
  } catch (const InputError& error) {
    throw InputError(with_places(error.what(), combination.settings));
  }
}

RunFile load_base(const SweepFile& file) {
  return load_run_file(base_files(file), {"run.dir=" + yaml_text(file.dir / "base")});
}

}  // namespace zebra
