#include "ablation/sweep_keys.h"

#include <utility>

#include "config/unknown_keys.h"

namespace zebra {
namespace {

/// "a.b: value" as the nested maps that it stands for, all at the place of the entry.
Value nested(const Entry& entry) {
  Value value;
  std::string rest = entry.key;
  for (std::size_t dot = rest.rfind('.');; dot = rest.rfind('.')) {
    Value outer;
    outer.kind = Value::Kind::map;
    outer.origin = entry.origin;
    const bool is_outermost = dot == std::string::npos;
    outer.entries.push_back(
        {is_outermost ? rest : rest.substr(dot + 1), entry.origin, std::move(value)});
    value = std::move(outer);
    if (is_outermost) return value;
    rest.resize(dot);
  }
}

/// A key of the section: the one that stands in the entry where there is one.
std::string example_key(const KeyInfo& section, const Entry& written) {
  for (const Entry& inner : written.value.entries) {
    if (const KeyInfo* child = section.find(inner.key)) return child->key;
  }
  return leaves(section).back()->key;
}

}  // namespace

const KeyInfo* find_run_key(const std::string& key) {
  const KeyInfo* info = &catalogue();
  for (std::size_t begin = 0; info != nullptr;) {
    const std::size_t dot = key.find('.', begin);
    if (info->type != KeyType::group) return nullptr;
    info = info->find(key.substr(begin, dot - begin));
    if (dot == std::string::npos) return info;
    begin = dot + 1;
  }
  return nullptr;
}

bool check_sweep_key(const Entry& written, Report& report) {
  const std::string& key = written.key;
  report.locate(key, written.origin);
  const KeyInfo* info = find_run_key(key);
  if (info == nullptr && key.starts_with("x-")) {
    report.problem(key, "is no key of a run file");
  } else if (info == nullptr) {
    check_keys(nested(written), report);
  } else if (info->type == KeyType::group) {
    report.problem(key, "is a section of run files; write the whole key with dots, such as " +
                            example_key(*info, written));
  } else if (key == "run.dir" || key == "run.name") {
    report.problem(key, "cannot be set: each arm's run is named, and put into `dir`, by the sweep");
  } else {
    return true;
  }
  return false;
}

}  // namespace zebra
