#include "config/load.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "config/catalogue.h"
#include "config/model_base.h"
#include "config/read_fields.h"
#include "config/report.h"
#include "config/resolve.h"
#include "config/unknown_keys.h"
#include "config/value.h"
#include "config/yaml.h"

namespace zebra {
namespace {

struct Source {
  std::string name;
  std::string yaml;
};

/// Parses one source or override on top of `merged`; what does not even parse is collected in
/// `problems`.
template <class Parse>
void merge_parsed(Value& merged, Problems& problems, const Parse& parse) {
  try {
    merge(merged, parse());
  } catch (const InputError& error) {
    problems.add(error.what());
  }
}

RunFile load_sources(const std::vector<Source>& sources, const std::vector<std::string>& overrides,
                     int ranks) {
  Value given;
  given.kind = Value::Kind::map;
  Problems syntax;
  std::vector<std::string> names;
  for (const Source& source : sources) {
    names.push_back(source.name);
    merge_parsed(given, syntax, [&] { return parse_yaml(source.yaml, source.name); });
  }
  for (const std::string& text : overrides) {
    merge_parsed(given, syntax, [&] { return parse_override(text); });
  }
  syntax.throw_if_any();

  Report report(names);
  RunFile file;
  const Value merged = on_top_of_base_model(given, report);
  check_keys(merged, report);
  read_fields(merged, file, report);
  fill_defaults(file, ranks, report);
  validate(file, ranks, report);
  report.throw_if_any();
  return file;
}

}  // namespace

RunFile load_run_file(const std::vector<std::filesystem::path>& files,
                      const std::vector<std::string>& overrides, int ranks) {
  std::vector<Source> sources;
  Problems unreadable;
  for (const auto& file : files) {
    try {
      sources.push_back({file.string(), read_text_input(file)});
    } catch (const InputError& error) {
      unreadable.add(error.what());
    }
  }
  unreadable.throw_if_any();
  return load_sources(sources, overrides, ranks);
}

RunFile parse_run_file(const std::string& yaml, const std::string& origin,
                       const std::vector<std::string>& overrides, int ranks) {
  return load_sources({{origin, yaml}}, overrides, ranks);
}

bool may_change_on_resume(const std::string& key) {
  return std::ranges::any_of(leaves(catalogue()), [&](const KeyInfo* info) {
    return info->key == key && info->rules.changeable_on_resume;
  });
}

}  // namespace zebra
