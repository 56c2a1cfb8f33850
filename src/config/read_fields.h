#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "config/catalogue.h"
#include "config/config.h"
#include "config/names.h"
#include "config/report.h"
#include "config/value.h"

namespace zebra {

/// Fills `config` from the merged values: expands `${VAR}`, converts, checks ranges and required
/// keys, makes paths absolute. Expects that check_keys has told the report where every key stands.
void read_fields(const Value& root, RunFile& config, Report& report);

/// Converts the value of one key; a failed conversion has told the report why and returns false.
class ValueReader {
 public:
  ValueReader(std::string key, const Rules& rules, Report& report)
      : key_(std::move(key)), rules_(rules), report_(report) {}

  bool read(const Value& value, std::int64_t& out) const;
  bool read(const Value& value, double& out) const;
  bool read(const Value& value, bool& out) const;
  bool read(const Value& value, std::string& out) const;
  bool read(const Value& value, std::filesystem::path& out) const;
  bool read(const Value& value, std::array<double, 2>& out) const;
  bool read(const Value& value, TrainingPoint& out) const;
  template <NamedEnum E>
  bool read(const Value& value, E& out) const;
  template <class T>
  bool read(const Value& value, std::optional<T>& out) const {
    return read(value, out.emplace());
  }
  /// A list with at least one value; what is no number may also be written alone.
  template <class T>
  bool read(const Value& value, std::vector<T>& out) const;

 private:
  bool refuse(const std::string& what) const;
  /// The text with variables expanded.
  std::optional<std::string> scalar(const Value& value, const std::string& expected) const;
  bool in_range(double value, const std::string& text) const;
  bool is_choice(const std::string& text, const std::vector<std::string>& choices) const;

  std::string key_;
  const Rules& rules_;
  Report& report_;
};

/// The visitor of fields.h that reads the keys of one map. A key that is absent or wrong leaves its
/// member as it is. `prefix` is where the map stands, with a dot, or empty at the top.
class FieldReader {
 public:
  FieldReader(const Value& map, std::string prefix, Report& report)
      : map_(map), prefix_(std::move(prefix)), report_(report) {}

  template <class T>
  void field(const char* name, T& member, const Rules& rules, const char*) {
    const Entry* entry = find(name, rules);
    if (entry == nullptr || is_left_to_default(*entry, rules)) return;
    T read{};
    if (ValueReader(prefix_ + name, rules, report_).read(entry->value, read)) member = read;
  }

  template <class S>
  void group(const char* name, S& member, const Rules& rules, const char*) {
    static const Value kEmpty;
    const Entry* entry = find(name, rules);
    const bool is_map = entry != nullptr && entry->value.kind == Value::Kind::map;
    if (entry != nullptr && !is_map && entry->value.kind != Value::Kind::null) {
      report_.problem(prefix_ + name, "must be a map of keys, not " + entry->value.described());
    }
    FieldReader inner(is_map ? entry->value : kEmpty, prefix_ + name + ".", report_);
    describe(inner, member);
  }

  template <class Element>
  void list(const char* name, std::vector<Element>& member, const Rules& rules, const char*) {
    const std::vector<Value>* items = items_of(name, rules);
    for (std::size_t i = 0; items != nullptr && i < items->size(); ++i) {
      const std::string key = prefix_ + name + "[" + std::to_string(i) + "]";
      if (!is_element(items->at(i), key, prefix_ + name, rules)) continue;
      FieldReader inner(items->at(i), key + ".", report_);
      describe(inner, member.emplace_back());
    }
  }

  void other(const char*, const Rules&, const char*) {}

 private:
  /// Whether the map gives a value for the key.
  bool gives(const std::string& name) const;
  /// The entry, or null with a missing required key reported.
  const Entry* find(const char* name, const Rules& rules);
  /// `key:` without a value unsets a key that has no fixed default, or another in its place.
  bool is_left_to_default(const Entry& entry, const Rules& rules);
  /// The elements of a list of maps; null where there is none, or something else.
  const std::vector<Value>* items_of(const char* name, const Rules& rules);
  bool is_element(const Value& item, const std::string& key, const std::string& list,
                  const Rules& rules);

  const Value& map_;
  std::string prefix_;
  Report& report_;
};

template <NamedEnum E>
bool ValueReader::read(const Value& value, E& out) const {
  const auto text = scalar(value, "one of " + join(names_of<E>(), ", "));
  if (!text || !is_choice(*text, names_of<E>())) return false;
  out = *value_named<E>(*text);
  return true;
}

template <class T>
bool ValueReader::read(const Value& value, std::vector<T>& out) const {
  if (!std::is_arithmetic_v<T> && value.kind == Value::Kind::scalar) {
    return read(value, out.emplace_back());
  }
  if (value.kind != Value::Kind::list || value.items.empty()) {
    return refuse("must be a list with at least one value");
  }
  for (const Value& item : value.items) {
    if (!read(item, out.emplace_back())) return false;
  }
  return true;
}

}  // namespace zebra
