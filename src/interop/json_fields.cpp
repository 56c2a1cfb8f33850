#include "interop/json_fields.h"

#include <algorithm>
#include <limits>

#include "base/text.h"

namespace zebra {

using Json = nlohmann::json;

namespace {

constexpr std::size_t kLongestShown = 60;

}  // namespace

std::string shown(const Json& value) {
  const auto count = std::to_string(value.size());
  if (value.is_object()) return "a map of " + count + " keys";
  if (value.is_array()) return "a list of " + count;
  const std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true);
  return text.size() <= kLongestShown ? text : text.substr(0, kLongestShown) + "…";
}

JsonFields::JsonFields(const Json& object, std::string where, std::string prefix,
                       Problems& problems)
    : object_(object), where_(std::move(where)), prefix_(std::move(prefix)), problems_(problems) {}

const Json* JsonFields::find(const std::string& key) {
  known_.insert(key);
  const auto found = object_.find(key);
  return found == object_.end() ? nullptr : &*found;
}

bool JsonFields::given(const std::string& key) {
  const Json* value = find(key);
  return value != nullptr && !value->is_null();
}

std::optional<std::int64_t> JsonFields::integer(const std::string& key, std::int64_t minimum,
                                                std::int64_t maximum) {
  if (!given(key)) return std::nullopt;
  const Json& value = *find(key);
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() ||
                     value.get<std::uint64_t>() <=
                         static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
  if (!fits || value.get<std::int64_t>() < minimum || value.get<std::int64_t>() > maximum) {
    problem(key, "must be a whole number from " + std::to_string(minimum) + " to " +
                     std::to_string(maximum) + ", not " + shown(value));
    return std::nullopt;
  }
  return value.get<std::int64_t>();
}

std::optional<double> JsonFields::number(const std::string& key) {
  if (!given(key)) return std::nullopt;
  const Json& value = *find(key);
  if (!value.is_number()) {
    problem(key, "must be a number, not " + shown(value));
    return std::nullopt;
  }
  return value.get<double>();
}

std::optional<double> JsonFields::number_above(const std::string& key, double limit) {
  const auto value = number(key);
  if (!value || *value > limit) return value;
  problem(key, "must be greater than " + round_trip(limit) + ", not " + round_trip(*value));
  return std::nullopt;
}

std::optional<bool> JsonFields::boolean(const std::string& key) {
  if (!given(key)) return std::nullopt;
  const Json& value = *find(key);
  if (!value.is_boolean()) {
    problem(key, "must be true or false, not " + shown(value));
    return std::nullopt;
  }
  return value.get<bool>();
}

std::optional<std::string> JsonFields::text(const std::string& key) {
  if (!given(key)) return std::nullopt;
  const Json& value = *find(key);
  if (!value.is_string()) {
    problem(key, "must be text, not " + shown(value));
    return std::nullopt;
  }
  return value.get<std::string>();
}

std::optional<JsonFields> JsonFields::map(const std::string& key) {
  if (!given(key)) return std::nullopt;
  const Json& value = *find(key);
  if (!value.is_object()) {
    problem(key, "must be a map of keys, not " + shown(value));
    return std::nullopt;
  }
  return JsonFields(value, where_, prefix_ + key + ".", problems_);
}

void JsonFields::require_neutral(const std::string& key, const std::vector<Json>& neutral,
                                 const std::string& why) {
  if (!given(key)) return;
  const Json& value = *find(key);
  if (std::find(neutral.begin(), neutral.end(), value) == neutral.end())
    problem(key, shown(value) + " cannot be imported: " + why);
}

void JsonFields::ignore(std::initializer_list<const char*> keys) {
  known_.insert(keys.begin(), keys.end());
}

void JsonFields::problem(const std::string& key, const std::string& what) {
  unsound_.insert(key);
  problems_.add(where_ + ": " + prefix_ + key + ": " + what);
}

bool JsonFields::sound(std::initializer_list<const char*> keys) const {
  return std::none_of(keys.begin(), keys.end(),
                      [&](const char* key) { return unsound_.contains(key); });
}

void JsonFields::report_unknown() {
  const std::vector<std::string> known(known_.begin(), known_.end());
  for (const auto& [key, value] : object_.items()) {
    if (known_.contains(key)) continue;
    const std::string nearest = nearest_word(key, known);
    problem(key, "unknown key; " +
                     (nearest.empty() ? std::string() : "is " + nearest + " meant? ") +
                     "Zebra cannot tell whether it changes the model; remove it if it does not");
  }
}

}  // namespace zebra
