#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "config/names.h"
#include "config/report.h"
#include "config/rules.h"
#include "config/value.h"

namespace zebra {

/// Reads the typed keys of one map of a sweep file. A key that is absent leaves its variable as it
/// is; what is wrong goes to the report, and leaves it as it is too. `map` and `report` must
/// outlive the reader.
class MapReader {
 public:
  /// `prefix` is where the map stands, with a dot: "probes.", or empty at the top.
  MapReader(const Value& map, std::string prefix, Report& report);

  void read(const std::string& name, std::int64_t& out, const Rules& rules = anything());
  void read(const std::string& name, double& out, const Rules& rules = anything());
  void read(const std::string& name, bool& out);
  void read(const std::string& name, std::string& out);
  /// Lists; texts may also be written as one text alone.
  void read(const std::string& name, std::vector<std::int64_t>& out, const Rules& rules);
  void read(const std::string& name, std::vector<std::string>& out);
  template <NamedEnum E>
  void read(const std::string& name, E& out);
  template <NamedEnum E>
  void read(const std::string& name, std::vector<E>& out);

  /// The entry to be read elsewhere, or null.
  const Entry* find(const std::string& name);
  /// The map under the key; an empty one when it is absent, or is no map.
  MapReader section(const std::string& name);
  /// Reports a key that is absent.
  void require(const std::string& name, const std::string& what);
  /// Reports the keys that nobody asked for; `x-…` at the top of a file hold anchors.
  void refuse_others();

 private:
  bool integer_in(const Value& value, const std::string& key, std::int64_t& out,
                  const Rules& rules);
  bool number_in(const Value& value, const std::string& key, double& out, const Rules& rules);
  bool text_in(const Value& value, const std::string& key, std::string& out);
  bool is_choice(const std::string& text, const std::string& key,
                 const std::vector<std::string>& choices);
  /// The items of a list; null with the reason reported otherwise.
  const std::vector<Value>* items_of(const Entry& entry);

  const Value& map_;
  std::string prefix_;
  Report& report_;
  std::vector<std::string> known_;
};

template <NamedEnum E>
void MapReader::read(const std::string& name, E& out) {
  std::string text;
  read(name, text);
  if (!text.empty() && is_choice(text, prefix_ + name, names_of<E>())) out = *value_named<E>(text);
}

template <NamedEnum E>
void MapReader::read(const std::string& name, std::vector<E>& out) {
  std::vector<std::string> texts;
  read(name, texts);
  std::vector<E> values;
  for (const std::string& text : texts) {
    if (!is_choice(text, prefix_ + name, names_of<E>())) return;
    values.push_back(*value_named<E>(text));
  }
  if (!values.empty()) out = std::move(values);
}

}  // namespace zebra
