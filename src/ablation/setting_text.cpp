#include "ablation/setting_text.h"

#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "config/environment.h"
#include "config/yaml_text.h"

namespace zebra {
namespace {

constexpr std::string_view kLettersAndDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

std::optional<double> number_in(const std::string& text) {
  double value = 0.0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Numbers and truth values need no quotes, since the reader asks each key for its type.
std::string scalar_yaml(const std::string& text) {
  const bool is_plain = number_in(text).has_value() || text == "true" || text == "false";
  return is_plain ? text : yaml_text(text);
}

}  // namespace

std::string one_line_yaml(const Value& value) {
  std::vector<std::string> parts;
  switch (value.kind) {
    case Value::Kind::null:
      return "null";
    case Value::Kind::scalar:
      return scalar_yaml(expand_variables(value.scalar));
    case Value::Kind::list:
      for (const Value& item : value.items) parts.push_back(one_line_yaml(item));
      return "[" + join(parts, ", ") + "]";
    case Value::Kind::map:
      for (const Entry& entry : value.entries) {
        parts.push_back(yaml_text(entry.key) + ": " + one_line_yaml(entry.value));
      }
      return "{" + join(parts, ", ") + "}";
  }
  return {};
}

std::string label_text(const Value& value) {
  if (value.kind == Value::Kind::null) return "default";
  if (value.kind == Value::Kind::scalar) return value.scalar;
  std::vector<std::string> parts;
  for (const Value& item : value.items) parts.push_back(label_text(item));
  for (const Entry& entry : value.entries) parts.push_back(label_text(entry.value));
  return join(parts, "-");
}

std::string folder_name(const std::string& text) {
  std::string name = text;
  for (char& c : name) {
    const bool is_safe =
        kLettersAndDigits.find(c) != std::string_view::npos || c == '.' || c == '_' || c == '-';
    if (!is_safe) c = '-';
  }
  return name;
}

bool is_same_value(const std::string& a, const std::string& b) {
  if (a == b) return true;
  const auto number_a = number_in(a), number_b = number_in(b);
  return number_a && number_b && *number_a == *number_b;
}

}  // namespace zebra
