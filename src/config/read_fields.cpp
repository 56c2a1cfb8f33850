#include "config/read_fields.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "config/environment.h"
#include "config/fields.h"
#include "config/names.h"

namespace zebra {
namespace {

std::string_view without_plus(std::string_view text) {
  return text.size() > 1 && text[0] == '+' && text[1] != '-' ? text.substr(1) : text;
}

template <class Number>
std::optional<Number> whole_text_as(std::string_view text) {
  text = without_plus(text);
  Number value{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Also "1e6" and "2.5e3": what a person writes for a whole number.
std::optional<std::int64_t> integer_from(std::string_view text) {
  if (const auto value = whole_text_as<std::int64_t>(text)) return value;
  constexpr double kExactIntegers = 9007199254740992.0;  // 2^53
  const auto value = whole_text_as<double>(text);
  if (!value || !(std::abs(*value) <= kExactIntegers) || *value != std::floor(*value)) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(*value);
}

std::optional<double> number_from(std::string_view text) {
  const auto value = whole_text_as<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

std::string in_quotes(const std::string& text) { return "\"" + text + "\""; }

std::string kind_name(const Value& value) {
  switch (value.kind) {
    case Value::Kind::null:
      return "empty";
    case Value::Kind::scalar:
      return in_quotes(value.scalar);
    case Value::Kind::list:
      return "a list";
    case Value::Kind::map:
      return "a map";
  }
  return {};
}

/// Converts one value; a failed conversion has told the report why and returns nothing.
class Converter {
 public:
  Converter(std::string key, const Rules& rules, Report& report)
      : key_(std::move(key)), rules_(rules), report_(report) {}

  bool read(const Value& value, std::int64_t& out) const {
    const auto text = scalar(value, "an integer");
    if (!text) return false;
    const auto number = integer_from(*text);
    if (!number) return refuse(in_quotes(*text) + " is not an integer");
    out = *number;
    return in_range(static_cast<double>(out), *text);
  }

  bool read(const Value& value, double& out) const {
    const auto text = scalar(value, "a number");
    if (!text) return false;
    const auto number = number_from(*text);
    if (!number) return refuse(in_quotes(*text) + " is not a finite number");
    out = *number;
    return in_range(out, *text);
  }

  bool read(const Value& value, bool& out) const {
    const auto text = scalar(value, "true or false");
    if (!text) return false;
    if (*text != "true" && *text != "false") {
      return refuse(in_quotes(*text) + " is not true or false");
    }
    out = *text == "true";
    return true;
  }

  bool read(const Value& value, std::string& out) const {
    const auto text = scalar(value, "text");
    if (!text) return false;
    if (text->empty()) return refuse("must not be empty");
    out = *text;
    return rules_.choices.empty() || is_choice(*text, rules_.choices);
  }

  bool read(const Value& value, std::filesystem::path& out) const {
    const auto text = scalar(value, "a path");
    if (!text) return false;
    if (text->empty()) return refuse("must not be empty");
    out = std::filesystem::absolute(*text).lexically_normal();
    if (!out.has_filename() && out.has_relative_path()) out = out.parent_path();
    return true;
  }

  bool read(const Value& value, std::array<double, 2>& out) const {
    if (value.kind != Value::Kind::list || value.items.size() != out.size()) {
      return refuse("must be a list of two numbers, such as [0.9, 0.95]");
    }
    return read(value.items[0], out[0]) && read(value.items[1], out[1]);
  }

  template <NamedEnum E>
  bool read(const Value& value, E& out) const {
    const auto text = scalar(value, "one of " + join(names_of<E>(), ", "));
    if (!text || !is_choice(*text, names_of<E>())) return false;
    out = *value_named<E>(*text);
    return true;
  }

 private:
  bool refuse(const std::string& what) const {
    report_.problem(key_, what);
    return false;
  }

  /// The text with variables expanded.
  std::optional<std::string> scalar(const Value& value, const std::string& expected) const {
    if (value.kind != Value::Kind::scalar) {
      refuse("must be " + expected + ", not " + kind_name(value));
      return std::nullopt;
    }
    try {
      return expand_variables(value.scalar);
    } catch (const InputError& error) {
      refuse(error.what());
      return std::nullopt;
    }
  }

  bool in_range(double value, const std::string& text) const {
    const auto violation = rules_.violation(value, text);
    return violation ? refuse(*violation) : true;
  }

  bool is_choice(const std::string& text, const std::vector<std::string>& choices) const {
    for (const std::string& choice : choices) {
      if (choice == text) return true;
    }
    const std::string near = nearest_word(text, choices);
    return refuse(in_quotes(text) + " is not one of " + join(choices, ", ") +
                  (near.empty() ? "" : "; did you mean " + near + "?"));
  }

  std::string key_;
  const Rules& rules_;
  Report& report_;
};

template <class T>
constexpr bool kIsOptional = false;
template <class T>
constexpr bool kIsOptional<std::optional<T>> = true;

/// Visitor that reads the keys of one map.
class FieldReader {
 public:
  FieldReader(const Value& map, std::string prefix, Report& report)
      : map_(map), prefix_(std::move(prefix)), report_(report) {}

  template <class T>
  void field(const char* name, T& member, const Rules& rules, const char*) {
    const Entry* entry = find(name, rules);
    if (entry == nullptr || is_left_to_default(*entry, rules)) return;
    const Converter converter(prefix_ + name, rules, report_);
    if constexpr (kIsOptional<T>) {
      typename T::value_type value{};
      if (converter.read(entry->value, value)) member = std::move(value);
    } else {
      T value{};
      if (converter.read(entry->value, value)) member = std::move(value);
    }
  }

  template <class S>
  void group(const char* name, S& member, const Rules& rules, const char*) {
    static const Value kEmpty;
    const Entry* entry = find(name, rules);
    const bool is_map = entry != nullptr && entry->value.kind == Value::Kind::map;
    if (entry != nullptr && !is_map && entry->value.kind != Value::Kind::null) {
      report_.problem(prefix_ + name, "must be a map of keys, not " + kind_name(entry->value));
    }
    FieldReader inner(is_map ? entry->value : kEmpty, prefix_ + name + ".", report_);
    describe(inner, member);
  }

  template <class Element>
  void list(const char* name, std::vector<Element>& member, const Rules& rules, const char*) {
    const Entry* entry = find(name, rules);
    if (entry == nullptr) return;
    const std::string key = prefix_ + name;
    if (entry->value.kind != Value::Kind::list) {
      report_.problem(
          key, "must be a list of maps, such as [{path: FOLDER}], not " + kind_name(entry->value));
      return;
    }
    const std::size_t size = entry->value.items.size();
    if (rules.violation(static_cast<double>(size), "")) {
      report_.problem(key, "must not be an empty list");
    }
    for (std::size_t i = 0; i < size; ++i) read_element(entry->value.items[i], i, key, member);
  }

 private:
  /// The entry, or null with a missing required key reported.
  const Entry* find(const char* name, const Rules& rules) {
    const Entry* entry = map_.find(name);
    const std::string key = prefix_ + name;
    if (entry == nullptr && rules.is_required && report_.sound({key})) {
      const std::string hint = rules.required_hint.empty() ? "" : ", " + rules.required_hint;
      report_.problem(key, "missing, and it has no default; give it" + hint);
    }
    return entry;
  }

  /// `key:` without a value unsets a key that has no fixed default.
  bool is_left_to_default(const Entry& entry, const Rules& rules) {
    if (entry.value.kind != Value::Kind::null) return false;
    if (rules.default_note.empty()) {
      report_.problem(prefix_ + entry.key, "has no value; give one, or remove the key");
    }
    return true;
  }

  template <class Element>
  void read_element(const Value& item, std::size_t index, const std::string& key,
                    std::vector<Element>& member) {
    const std::string element_key = key + "[" + std::to_string(index) + "]";
    if (item.kind != Value::Kind::map) {
      report_.problem(element_key, "must be a map, such as {path: FOLDER}, not " + kind_name(item));
      report_.mark_unsound(key);
      return;
    }
    FieldReader inner(item, element_key + ".", report_);
    describe(inner, member.emplace_back());
  }

  const Value& map_;
  std::string prefix_;
  Report& report_;
};

}  // namespace

void read_fields(const Value& root, RunFile& config, Report& report) {
  FieldReader reader(root, "", report);
  describe(reader, config);
}

}  // namespace zebra
