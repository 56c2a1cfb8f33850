#include "config/yaml_text.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/text.h"
#include "config/environment.h"

namespace zebra {
namespace {

bool is_safe_plain(const std::string& text) {
  static constexpr std::string_view kTaken[] = {"null", "true", "false", "yes", "no",
                                                "on",   "off",  "y",     "n"};
  const auto is_letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
  if (text.empty() || !(is_letter(text.front()) || text.front() == '/')) return false;
  const bool plain_characters = std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("_./-").find(c) != std::string_view::npos;
  });
  std::string lower = text;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return plain_characters &&
         std::find(std::begin(kTaken), std::end(kTaken), lower) == std::end(kTaken);
}

std::string quoted(const std::string& text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      result += "\\x";
      result += kDigits[byte / 16];
      result += kDigits[byte % 16];
    } else {
      result += c;
    }
  }
  return result + '"';
}

}  // namespace

std::string yaml_text(std::int64_t value) { return std::to_string(value); }

std::string yaml_text(double value) {
  std::string text = round_trip(value);
  const std::size_t exponent = text.find('e');
  if (text.find('.') == std::string::npos) {
    text.insert(exponent == std::string::npos ? text.size() : exponent, ".0");
  }
  return text;
}

std::string yaml_text(bool value) { return value ? "true" : "false"; }

std::string yaml_text(const std::string& value) {
  return is_safe_plain(value) ? value : quoted(escape_variables(value));
}

std::string yaml_text(const std::filesystem::path& value) { return yaml_text(value.string()); }

std::string yaml_text(const std::array<double, 2>& value) {
  return "[" + yaml_text(value[0]) + ", " + yaml_text(value[1]) + "]";
}

std::string one_line_yaml(const Value& value) {
  std::vector<std::string> parts;
  switch (value.kind) {
    case Value::Kind::null:
      return "null";
    case Value::Kind::scalar: {
      // Numbers and truth values need no quotes, since the reader asks each key for its type.
      const std::string text = expand_variables(value.scalar);
      const bool is_plain = number_from(text) || text == "true" || text == "false";
      return is_plain ? text : yaml_text(text);
    }
    case Value::Kind::list:
      for (const Value& item : value.items) parts.push_back(one_line_yaml(item));
      return "[" + join(parts, ", ") + "]";
    case Value::Kind::map:
      break;
  }
  for (const Entry& entry : value.entries) {
    parts.push_back(yaml_text(entry.key) + ": " + one_line_yaml(entry.value));
  }
  return "{" + join(parts, ", ") + "}";
}

}  // namespace zebra
