#pragma once

#include <string>
#include <vector>

#include "config/report.h"
#include "config/value.h"

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

/// The given run file on top of the model that it starts from.
///
/// With `model.preset` that is the preset's keys; an unknown preset is reported where its key is
/// read. With `model.init_from` (the run starts from that model's weights) it is the model keys of
/// that run or checkpoint, read from its config.yaml: their layout gives way to any layout key
/// given, and where rope_scaling is given their max_position_embeddings becomes the
/// original_max_position_embeddings. A file that spells out every model key (a resolved one) is
/// returned as it is, so that a run needs its origin only once. Reports an origin that cannot be
/// read, and a preset beside it.
Value on_top_of_base_model(const Value& given, Report& report);

}  // namespace zebra
