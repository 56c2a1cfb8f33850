#include "ablation/map_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "config/environment.h"

namespace zebra {
namespace {

const Value& empty_map() {
  static const Value kEmpty = [] {
    Value map;
    map.kind = Value::Kind::map;
    return map;
  }();
  return kEmpty;
}

}  // namespace

MapReader::MapReader(const Value& map, std::string prefix, Report& report)
    : map_(map), prefix_(std::move(prefix)), report_(report) {
  for (const Entry& entry : map.entries) report.locate(prefix_ + entry.key, entry.origin);
}

const Entry* MapReader::find(const std::string& name) {
  known_.push_back(name);
  return map_.find(name);
}

MapReader MapReader::section(const std::string& name) {
  const Entry* entry = find(name);
  if (entry != nullptr && entry->value.kind == Value::Kind::map) {
    return {entry->value, prefix_ + name + ".", report_};
  }
  if (entry != nullptr) report_.problem(prefix_ + name, "must be a map of keys");
  return {empty_map(), prefix_ + name + ".", report_};
}

void MapReader::require(const std::string& name, const std::string& what) {
  if (map_.find(name) == nullptr) report_.problem(prefix_ + name, "missing; give " + what);
}

void MapReader::refuse_others() {
  for (const Entry& entry : map_.entries) {
    const bool is_known = std::find(known_.begin(), known_.end(), entry.key) != known_.end();
    if (is_known || (prefix_.empty() && entry.key.starts_with("x-"))) continue;
    const std::string near = nearest_word(entry.key, known_);
    report_.problem(prefix_ + entry.key,
                    "unknown key; " + (near.empty() ? "known are " + join(known_, ", ")
                                                    : "did you mean " + near + "?"));
  }
}

void MapReader::read(const std::string& name, std::int64_t& out, const Rules& rules) {
  const Entry* entry = find(name);
  if (entry != nullptr) integer_in(entry->value, prefix_ + name, out, rules);
}

void MapReader::read(const std::string& name, double& out, const Rules& rules) {
  const Entry* entry = find(name);
  if (entry != nullptr) number_in(entry->value, prefix_ + name, out, rules);
}

void MapReader::read(const std::string& name, bool& out) {
  const Entry* entry = find(name);
  std::string text;
  if (entry == nullptr || !text_in(entry->value, prefix_ + name, text)) return;
  if (text == "true" || text == "false") {
    out = text == "true";
  } else {
    report_.problem(prefix_ + name, "\"" + text + "\" is not true or false");
  }
}

void MapReader::read(const std::string& name, std::string& out) {
  const Entry* entry = find(name);
  if (entry != nullptr) text_in(entry->value, prefix_ + name, out);
}

void MapReader::read(const std::string& name, std::vector<std::int64_t>& out, const Rules& rules) {
  const Entry* entry = find(name);
  const std::vector<Value>* items = entry == nullptr ? nullptr : items_of(*entry);
  if (items == nullptr) return;
  std::vector<std::int64_t> values;
  for (const Value& item : *items) {
    std::int64_t value = 0;
    if (!integer_in(item, prefix_ + name, value, rules)) return;
    values.push_back(value);
  }
  out = std::move(values);
}

void MapReader::read(const std::string& name, std::vector<std::string>& out) {
  const Entry* entry = find(name);
  if (entry == nullptr) return;
  const bool is_alone = entry->value.kind == Value::Kind::scalar;
  const std::vector<Value>* items = is_alone ? nullptr : items_of(*entry);
  if (!is_alone && items == nullptr) return;
  std::vector<std::string> texts;
  for (const Value& item : is_alone ? std::vector<Value>{entry->value} : *items) {
    std::string text;
    if (!text_in(item, prefix_ + name, text)) return;
    texts.push_back(std::move(text));
  }
  out = std::move(texts);
}

const std::vector<Value>* MapReader::items_of(const Entry& entry) {
  if (entry.value.kind == Value::Kind::list && !entry.value.items.empty()) {
    return &entry.value.items;
  }
  report_.problem(prefix_ + entry.key, "must be a list with at least one value");
  return nullptr;
}

bool MapReader::integer_in(const Value& value, const std::string& key, std::int64_t& out,
                           const Rules& rules) {
  constexpr double kExactIntegers = 9007199254740992.0;  // 2^53
  double number = 0.0;
  if (!number_in(value, key, number, rules)) return false;
  if (number != std::floor(number) || std::abs(number) > kExactIntegers) {
    report_.problem(key, "\"" + value.scalar + "\" is not an integer");
    return false;
  }
  out = static_cast<std::int64_t>(number);
  return true;
}

bool MapReader::number_in(const Value& value, const std::string& key, double& out,
                          const Rules& rules) {
  std::string text;
  if (!text_in(value, key, text)) return false;
  double number = 0.0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size() ||
      !std::isfinite(number)) {
    report_.problem(key, "\"" + text + "\" is not a number");
    return false;
  }
  if (const auto violation = rules.violation(number, text)) {
    report_.problem(key, *violation);
    return false;
  }
  out = number;
  return true;
}

bool MapReader::text_in(const Value& value, const std::string& key, std::string& out) {
  if (value.kind != Value::Kind::scalar || value.scalar.empty()) {
    report_.problem(key, value.kind == Value::Kind::list || value.kind == Value::Kind::map
                             ? "must be a single value"
                             : "has no value; give one, or remove the key");
    return false;
  }
  try {
    out = expand_variables(value.scalar);
  } catch (const InputError& error) {
    report_.problem(key, error.what());
    return false;
  }
  return true;
}

bool MapReader::is_choice(const std::string& text, const std::string& key,
                          const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), text) != choices.end()) return true;
  const std::string near = nearest_word(text, choices);
  report_.problem(key, "\"" + text + "\" is not one of " + join(choices, ", ") +
                           (near.empty() ? "" : "; did you mean " + near + "?"));
  return false;
}

}  // namespace zebra
