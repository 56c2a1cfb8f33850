#include "ablation/base_run.h"

#include <set>
#include <sstream>

#include "ablation/setting_text.h"
#include "ablation/sweep_keys.h"
#include "base/file.h"
#include "config/load.h"
#include "config/read_yaml.h"
#include "config/yaml_text.h"

namespace zebra {
namespace {

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

bool sets(const Combination& combination, const std::string& key) {
  for (const Setting& setting : combination.settings) {
    if (setting.key == key) return true;
  }
  return false;
}

}  // namespace

Value read_base(const Sweep& sweep, Problems& problems) {
  Value merged;
  merged.kind = Value::Kind::map;
  for (const auto& file : sweep.base) {
    try {
      merge(merged, parse_yaml(read_file(file), file.string()));
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
    if (sets(combination, kPatternKey)) continue;
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

RunFile load_arm(const Sweep& sweep, const Combination& combination) {
  const std::string name = combination.name();
  std::vector<std::string> overrides = {"run.dir=" + yaml_text(sweep.dir / "arms" / name),
                                        "run.name=" + yaml_text(name)};
  for (const Setting& setting : combination.settings) overrides.push_back(override_text(setting));
  try {
    return load_run_file(sweep.base, overrides);
  } catch (const InputError& error) {
    throw InputError(with_places(error.what(), combination.settings));
  }
}

RunFile load_base(const Sweep& sweep) {
  return load_run_file(sweep.base, {"run.dir=" + yaml_text(sweep.dir / "base")});
}

}  // namespace zebra
