#include "config/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <map>
#include <utility>

#include "base/error.h"

namespace zebra {
namespace {

template <class Number>
std::optional<Number> whole_text_as(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  Number value{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_variable_name(const std::string& name) {
  const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
  return !name.empty() && letters.find(name.front()) != std::string::npos &&
         name.find_first_not_of(letters + "0123456789") == std::string::npos;
}

std::string value_of_variable(const std::string& name) {
  if (!is_variable_name(name)) {
    throw InputError("${" + name + "} names no environment variable; write $${ for a literal ${");
  }
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) {
    throw InputError("environment variable " + name + " is not set; export it, or write $${" +
                     name + "} for the literal text");
  }
  return value;
}

}  // namespace

std::string Origin::text() const { return line > 0 ? source + ":" + std::to_string(line) : source; }

const Entry* Value::find(std::string_view key) const {
  const auto found = std::ranges::find(entries, key, &Entry::key);
  return found == entries.end() ? nullptr : &*found;
}

Entry* Value::find(std::string_view key) {
  return const_cast<Entry*>(std::as_const(*this).find(key));
}

std::string Value::described() const {
  if (kind == Kind::null) return "empty";
  if (kind == Kind::scalar) return "\"" + scalar + "\"";
  return kind == Kind::list ? "a list" : "a map";
}

void merge(Value& base, const Value& over) {
  std::map<std::string, std::size_t> places;
  for (const Entry& entry : base.entries) places.emplace(entry.key, places.size());
  for (const Entry& entry : over.entries) {
    const auto place = places.find(entry.key);
    Entry* existing = place == places.end() ? nullptr : &base.entries[place->second];
    if (existing == nullptr) {
      base.entries.push_back(entry);
      continue;
    }
    if (existing->value.kind == Value::Kind::map) {
      // A line in a file says more about where a section stands than a preset or an override.
      if (existing->origin.line == 0 && entry.value.kind == Value::Kind::map) {
        existing->origin = entry.origin;
      }
      if (entry.value.kind == Value::Kind::null) continue;
      if (entry.value.kind == Value::Kind::map) {
        merge(existing->value, entry.value);
        continue;
      }
    }
    *existing = entry;
  }
}

std::optional<std::int64_t> integer_from(std::string_view text) {
  if (const auto value = whole_text_as<std::int64_t>(text)) return value;
  constexpr double kExactIntegers = 9007199254740992.0;  // 2^53, from where on doubles skip some
  const auto value = whole_text_as<double>(text);
  if (!value || !(std::abs(*value) < kExactIntegers) || *value != std::floor(*value)) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(*value);
}

std::optional<double> number_from(std::string_view text) {
  const auto value = whole_text_as<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

std::string expand_variables(const std::string& text) {
  std::string expanded;
  for (std::size_t i = 0; i < text.size();) {
    if (text.compare(i, 3, "$${") == 0) {
      expanded += "${";
      i += 3;
    } else if (text.compare(i, 2, "${") == 0) {
      const std::size_t end = text.find('}', i);
      if (end == std::string::npos) {
        throw InputError("${ without }; write $${ for a literal ${");
      }
      expanded += value_of_variable(text.substr(i + 2, end - i - 2));
      i = end + 1;
    } else {
      expanded += text[i++];
    }
  }
  return expanded;
}

std::string expand_home(const std::string& path) {
  if (path != "~" && !path.starts_with("~/")) return path;
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') {
    throw InputError("\"" + path +
                     "\" is in the home folder, but HOME is not set; write the path out");
  }
  return home + path.substr(1);
}

std::string escape_variables(const std::string& text) {
  std::string escaped;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 2, "${") == 0) escaped += '$';
    escaped += text[i];
  }
  return escaped;
}

}  // namespace zebra
