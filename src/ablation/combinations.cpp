#include "ablation/combinations.h"

#include <algorithm>
#include <set>
#include <utility>

#include "ablation/setting_text.h"
#include "ablation/sweep_keys.h"

namespace zebra {
namespace {

constexpr std::size_t kMostCombinations = 10000;
constexpr std::size_t kLongestName = 200;  // file systems allow 255, and logs add an ending

/// What an exclusion can ask for: the value of each axis, by the keys that it sets and by its
/// label.
using ChosenValues = std::vector<std::pair<const Axis*, const AxisValue*>>;

bool any_is(const std::vector<std::string>& values, const std::string& wanted) {
  return std::any_of(values.begin(), values.end(),
                     [&](const std::string& value) { return is_same_value(value, wanted); });
}

std::string yaml_of_label(const std::string& label) {
  Value value;
  value.kind = Value::Kind::scalar;
  value.scalar = label;
  return one_line_yaml(value);
}

bool matches(const Exclusion::Condition& condition, const ChosenValues& chosen) {
  for (const auto& [axis, value] : chosen) {
    if (axis->name == condition.name && any_is(condition.values, yaml_of_label(value->label))) {
      return true;
    }
    for (const Setting& setting : value->settings) {
      if (setting.key == condition.name && any_is(condition.values, setting.value)) return true;
    }
  }
  return false;
}

bool matches(const Exclusion& exclusion, const ChosenValues& chosen) {
  return std::all_of(
      exclusion.conditions.begin(), exclusion.conditions.end(),
      [&](const Exclusion::Condition& condition) { return matches(condition, chosen); });
}

Combination combine(const ChosenValues& chosen, const std::string& base_seed) {
  Combination combination;
  combination.seed = base_seed;
  std::vector<std::string> labels;
  for (const auto& [axis, value] : chosen) {
    combination.settings.insert(combination.settings.end(), value->settings.begin(),
                                value->settings.end());
    if (axis->name == kSeedKey) {
      combination.seed = value->settings.front().value;
    } else {
      labels.push_back(value->label);
    }
  }
  combination.group = labels.empty() ? "base" : folder_name(join(labels, "_"));
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

}  // namespace zebra
