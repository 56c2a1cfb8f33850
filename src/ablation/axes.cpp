#include "ablation/axes.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "ablation/ladder.h"
#include "base/error.h"
#include "config/catalogue.h"
#include "config/unknown_keys.h"
#include "config/yaml.h"

namespace zebra {
namespace {

/// "window_size-8".
std::string key_label(const std::string& key, const Value& value) {
  return key.substr(key.rfind('.') + 1) + "-" + label_text(value);
}

bool sets_pattern(const AxisValue& value) {
  const Setting* pattern = find_setting(value.settings, kPatternKey);
  return pattern != nullptr && pattern->value != "null";
}

std::set<std::string> keys_set_by(const Axis& axis) {
  std::set<std::string> keys;
  for (const AxisValue& value : axis.values) {
    for (const Setting& setting : value.settings) keys.insert(setting.key);
  }
  return keys;
}

constexpr const char* kNamedSettingsExample =
    "{full: {model.self_attn_type: full}, local: {model.self_attn_type: local}}";

/// A key of the section: the one that stands in the entry where there is one.
std::string example_key(const KeyInfo& section, const Entry& written) {
  for (const Entry& inner : written.value.entries) {
    if (const KeyInfo* child = section.find(inner.key)) return child->key;
  }
  return leaves(section).back()->key;
}

class GridReader {
 public:
  GridReader(const Value& file, Report& report) : file_(file), report_(report) {}

  Grid read() {
    read_axes();
    read_zip();
    if (const Entry* arms =
            section("arms", std::string("must be a map of named settings, such as ") +
                                kNamedSettingsExample)) {
      add_named_axis(*arms, "arms");
    }
    read_ladder();
    if (is_sound_ && grid_.axes.empty()) refuse("axes", {}, "no arms: give axes, zip or arms");
    check_contradictions();
    if (is_sound_) read_exclusions();
    return is_sound_ ? std::move(grid_) : Grid{};
  }

 private:
  void refuse(const std::string& path, const Origin& origin, const std::string& what) {
    if (!origin.source.empty()) report_.locate(path, origin);
    report_.problem(path, what);
    is_sound_ = false;
  }

  /// The entry at the top of the file when it is there and a map with something in it.
  const Entry* section(const std::string& name, const std::string& otherwise) {
    const Entry* entry = file_.find(name);
    if (entry == nullptr) return nullptr;
    if (entry->value.kind == Value::Kind::map && !entry->value.entries.empty()) return entry;
    refuse(name, entry->origin, otherwise);
    return nullptr;
  }

  void read_axes() {
    const Entry* axes =
        section("axes", "must be a map of axes, such as {model.layer_group_size: [1, 2, 4]}");
    if (axes == nullptr) return;
    for (const Entry& entry : axes->value.entries) {
      const KeyInfo* info = catalogue().find_dotted(entry.key);
      const bool is_section = info != nullptr && info->type == KeyType::group;
      if (entry.value.kind == Value::Kind::map && info == nullptr) {
        add_named_axis(entry, "axes." + entry.key);
      } else if (entry.value.kind == Value::Kind::list || is_section) {
        add_key_axis(entry);
      } else {
        refuse("axes." + entry.key, entry.origin,
               info != nullptr ? "must be a list of values, such as [1, 2]"
                               : "must be a list of values for a key of run files, or a map of "
                                 "named settings, such as " +
                                     std::string(kNamedSettingsExample));
      }
    }
  }

  void add_key_axis(const Entry& entry) {
    Axis axis{entry.key, "axes." + entry.key, entry.origin, {}};
    if (!is_sweep_key(entry)) return;
    if (entry.value.items.empty()) refuse(axis.path, entry.origin, "has no values");
    for (const Value& item : entry.value.items) {
      AxisValue value{key_label(entry.key, item), {}, item.origin};
      add_setting(value, axis.path, {entry.key, item.origin, item});
      axis.values.push_back(std::move(value));
    }
    add_axis(std::move(axis));
  }

  void add_named_axis(const Entry& entry, const std::string& path) {
    Axis axis{entry.key, path, entry.origin, {}};
    if (entry.value.entries.empty()) refuse(path, entry.origin, "has no named settings");
    for (const Entry& named : entry.value.entries) {
      const std::string where = path + "." + named.key;
      if (named.key.empty()) refuse(path, named.origin, "settings without a name");
      if (named.value.kind != Value::Kind::map && named.value.kind != Value::Kind::null) {
        refuse(where, named.origin,
               "must be a map of keys of run files, such as {model.window_size: 8}");
        continue;
      }
      AxisValue value{named.key, {}, named.origin};
      for (const Entry& setting : named.value.entries) {
        if (setting.key == kSeedKey) refuse_seed(where, setting.origin);
        if (is_sweep_key(setting)) add_setting(value, where, setting);
      }
      axis.values.push_back(std::move(value));
    }
    add_axis(std::move(axis));
  }

  void read_zip() {
    const Entry* zip = section(
        "zip",
        "must be a map of lists, such as {model.window_size: [8, 16], data.sequence_length: "
        "[128, 256]}");
    if (zip == nullptr) return;
    Axis axis{"zip", "zip", zip->origin, {}};
    for (const Entry& entry : zip->value.entries) {
      const std::string where = "zip." + entry.key;
      if (entry.key == kSeedKey) refuse_seed("zip", entry.origin);
      if (!is_sweep_key(entry)) continue;
      if (entry.value.kind != Value::Kind::list || entry.value.items.empty()) {
        refuse(where, entry.origin, "must be a list of values");
        continue;
      }
      if (axis.values.empty()) axis.values.resize(entry.value.items.size());
      if (entry.value.items.size() != axis.values.size()) {
        refuse(where, entry.origin,
               "has " + std::to_string(entry.value.items.size()) +
                   " values where other keys have " + std::to_string(axis.values.size()) +
                   "; the keys of a zip have one value each for every arm");
        continue;
      }
      for (std::size_t i = 0; i < axis.values.size(); ++i) {
        const Value& item = entry.value.items[i];
        AxisValue& value = axis.values[i];
        value.label += (value.label.empty() ? "" : "_") + key_label(entry.key, item);
        value.origin = item.origin;
        add_setting(value, where, {entry.key, item.origin, item});
      }
    }
    if (!axis.values.empty()) add_axis(std::move(axis));
  }

  void read_ladder() {
    const Entry* ladder = section(
        "ladder",
        "must be a map of sizes, tokens_per_parameter and learning_rates (docs/ablations.md)");
    if (ladder == nullptr) return;
    const Entry* sizes = ladder_part(*ladder, kLadderSizes, "{s: {model.hidden_size: 64}}");
    const Entry* tokens = ladder_part(*ladder, kTokensPerParameter, "[10, 20]");
    const Entry* rates = ladder_part(*ladder, kLadderRates, "[1.0e-3, 3.0e-3]");
    if (sizes != nullptr && sizes->value.kind == Value::Kind::map) {
      add_named_axis({kLadderSizes, sizes->origin, sizes->value}, kLadderSizes);
    } else if (sizes != nullptr) {
      refuse(kLadderSizes, sizes->origin, "must be a map of named settings");
    }
    if (tokens != nullptr)
      add_ladder_axis(kTokensPerParameter, *tokens, kTokensPerParameter, "-per-parameter");
    if (rates != nullptr) add_ladder_axis("optimizer.lr", *rates, kLadderRates, "-lr");
  }

  /// The list or map of that name in the ladder; null, with a problem, where it is missing, and
  /// null where a problem with it is known.
  const Entry* ladder_part(const Entry& ladder, const std::string& path,
                           const std::string& example) {
    const std::string name = path.substr(path.find('.') + 1);
    const Entry* entry = ladder.value.find(name);
    if (entry == nullptr) {
      refuse(path, ladder.origin,
             "missing; a ladder has sizes, tokens_per_parameter and learning_rates: give, for "
             "example, " +
                 name + ": " + example);
      return nullptr;
    }
    if (report_.sound({path})) return entry;
    is_sound_ = false;
    return nullptr;
  }

  /// Numbers that the report has found sound.
  void add_ladder_axis(const std::string& key, const Entry& list, const std::string& path,
                       const std::string& unit) {
    Axis axis{key, path, list.origin, {}};
    for (const Value& item : list.value.items) {
      AxisValue value{label_text(item) + unit, {}, item.origin};
      add_setting(value, path, {key, item.origin, item});
      axis.values.push_back(std::move(value));
    }
    add_axis(std::move(axis));
  }

  void refuse_seed(const std::string& path, const Origin& origin) {
    refuse(path + "." + kSeedKey, origin,
           "seeds are an axis of their own, which forms the groups of the report; give axes: "
           "{run.seed: [1, 2, 3]}");
  }

  /// Whether a sweep may set the key: it is a key of run files with a value of its own, and none
  /// of those that tell the arms' runs apart.
  bool is_sweep_key(const Entry& written) {
    const std::string& key = written.key;
    const KeyInfo* info = catalogue().find_dotted(key);
    report_.locate(key, written.origin);
    if (info == nullptr && !key.starts_with("x-")) {
      report_unknown_key(key, report_);
      is_sound_ = false;
    } else if (info == nullptr) {
      refuse(key, written.origin, "is no key of a run file");
    } else if (info->type == KeyType::group) {
      refuse(key, written.origin,
             "is a section of run files; write the whole key with dots, such as " +
                 example_key(*info, written));
    } else if (key == "run.dir" || key == "run.name") {
      refuse(key, written.origin,
             "cannot be set: each arm's run is named, and put into `dir`, by the sweep");
    } else {
      return true;
    }
    return false;
  }

  void add_setting(AxisValue& value, const std::string& path, const Entry& setting) {
    if (const auto yaml = on_one_line(setting.value, path, setting.origin))
      value.settings.push_back({setting.key, *yaml, setting.origin});
  }

  std::optional<std::string> on_one_line(const Value& value, const std::string& path,
                                         const Origin& origin) {
    try {
      return one_line_yaml(value);
    } catch (const InputError& error) {
      refuse(path, origin, error.what());
      return std::nullopt;
    }
  }

  void add_axis(Axis axis) {
    std::set<std::string> names;
    for (const AxisValue& value : axis.values) {
      if (names.insert(folder_name(value.label)).second) continue;
      refuse(axis.path, value.origin,
             "two values would be called " + folder_name(value.label) +
                 "; remove one of them, or give them names (axes: {NAME: {LABEL: {KEY: VALUE}}})");
    }
    grid_.axes.push_back(std::move(axis));
  }

  void check_contradictions() {
    const auto& axes = grid_.axes;
    for (std::size_t i = 0; i < axes.size(); ++i) {
      for (const AxisValue& value : axes[i].values) {
        if (!sets_pattern(value)) continue;
        for (const char* key : kLayoutShortForms) {
          if (find_setting(value.settings, key) == nullptr) continue;
          refuse(axes[i].path, value.origin,
                 value.label + ": " + key + " has no effect beside " + kPatternKey +
                     "; remove one of them");
        }
      }
      for (std::size_t j = 0; j < axes.size(); ++j) {
        if (i != j) check_pair(axes[i], axes[j], i < j);
      }
    }
  }

  void check_pair(const Axis& axis, const Axis& other, bool is_in_order) {
    if (is_in_order && axis.name == other.name) {
      refuse(other.path, other.origin, "is the name of two axes; rename one of them");
    }
    for (const std::string& key : keys_set_by(axis)) {
      if (!is_in_order || !other.sets_key(key)) continue;
      refuse(other.path, other.origin,
             key + " is already set by " + axis.path + "; one axis alone can set a key");
    }
    if (std::none_of(axis.values.begin(), axis.values.end(), sets_pattern)) return;
    for (const char* key : kLayoutShortForms) {
      if (!other.sets_key(key)) continue;
      refuse(other.path, other.origin,
             std::string(key) + " has no effect beside " + kPatternKey + ", which " + axis.path +
                 " sets; write the layouts as patterns, or without any");
    }
  }

  void read_exclusions() {
    const Entry* exclude = file_.find("exclude");
    if (exclude == nullptr) return;
    if (exclude->value.kind != Value::Kind::list) {
      refuse("exclude", exclude->origin,
             "must be a list of maps, such as [{model.layer_group_size: 1}]");
      return;
    }
    for (std::size_t i = 0; i < exclude->value.items.size(); ++i) {
      const Value& rule = exclude->value.items[i];
      Exclusion exclusion{"exclude[" + std::to_string(i) + "]", rule.origin, {}};
      if (rule.kind != Value::Kind::map || rule.entries.empty()) {
        refuse(exclusion.path, rule.origin, "must be a map, such as {model.layer_group_size: 1}");
        continue;
      }
      for (const Entry& entry : rule.entries) add_condition(exclusion, entry);
      grid_.exclusions.push_back(std::move(exclusion));
    }
  }

  void add_condition(Exclusion& exclusion, const Entry& entry) {
    std::set<std::string> names;
    for (const Axis& axis : grid_.axes) {
      names.merge(keys_set_by(axis));
      if (catalogue().find_dotted(axis.name) == nullptr) names.insert(axis.name);
    }
    const std::string path = exclusion.path + "." + entry.key;
    if (!names.contains(entry.key)) {
      const std::vector<std::string> known(names.begin(), names.end());
      const std::string near = nearest_word(entry.key, known);
      refuse(path, entry.origin,
             "no axis sets it; " +
                 (near.empty() ? "axes set " + join(known, ", ") : "did you mean " + near + "?"));
      return;
    }
    Exclusion::Condition condition{entry.key, {}};
    const bool is_list = entry.value.kind == Value::Kind::list;
    for (const Value& value : is_list ? entry.value.items : std::vector<Value>{entry.value}) {
      if (const auto yaml = on_one_line(value, path, entry.origin))
        condition.values.push_back(*yaml);
    }
    exclusion.conditions.push_back(std::move(condition));
  }

  const Value& file_;
  Report& report_;
  Grid grid_;
  bool is_sound_ = true;
};

}  // namespace

Grid read_grid(const Value& sweep_file, Report& report) {
  return GridReader(sweep_file, report).read();
}

const Setting* find_setting(const std::vector<Setting>& settings, const std::string& key) {
  const auto found = std::find_if(settings.begin(), settings.end(),
                                  [&](const Setting& setting) { return setting.key == key; });
  return found == settings.end() ? nullptr : &*found;
}

bool Axis::sets_key(const std::string& key) const { return keys_set_by(*this).contains(key); }

std::string label_text(const Value& value) {
  if (value.kind == Value::Kind::null) return "default";
  if (value.kind == Value::Kind::scalar) return value.scalar;
  std::vector<std::string> parts;
  for (const Value& item : value.items) parts.push_back(label_text(item));
  for (const Entry& entry : value.entries) parts.push_back(label_text(entry.value));
  return join(parts, "-");
}

std::string folder_name(const std::string& text) {
  static constexpr std::string_view kSafe =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  std::string name = text;
  std::ranges::replace_if(
      name, [](char c) { return kSafe.find(c) == kSafe.npos; }, '-');
  return name;
}

}  // namespace zebra
