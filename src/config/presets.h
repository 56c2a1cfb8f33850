#pragma once

#include <string>
#include <vector>

namespace zebra {

/// Model keys under one name, for `model.preset`.
struct Preset {
  std::string name;
  std::string yaml;     // a run file with a `model` section only
  std::string summary;  // one sentence: what it is for
};

const std::vector<Preset>& presets();
std::vector<std::string> preset_names();

/// The preset, or null when there is none of that name.
const Preset* find_preset(const std::string& name);

}  // namespace zebra
