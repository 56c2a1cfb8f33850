#include "config/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

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

}  // namespace

std::string Origin::text() const { return line > 0 ? source + ":" + std::to_string(line) : source; }

const Entry* Value::find(std::string_view key) const {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

Entry* Value::find(std::string_view key) {
  return const_cast<Entry*>(std::as_const(*this).find(key));
}

std::string Value::described() const {
  switch (kind) {
    case Kind::null:
      return "empty";
    case Kind::scalar:
      return "\"" + scalar + "\"";
    case Kind::list:
      return "a list";
    case Kind::map:
      break;
  }
  return "a map";
}

void merge(Value& base, const Value& over) {
  for (const Entry& entry : over.entries) {
    Entry* existing = base.find(entry.key);
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

}  // namespace zebra
