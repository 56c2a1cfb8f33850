#include "base/json_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.h"

namespace zebra {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kLongestShown = 60;
constexpr std::size_t kMaximumDepth = 64;
constexpr std::size_t kLongestQuote = 100;

/// Passes over a text without keeping it; returning false ends the pass.
class FaultFinder final : public Json::json_sax_t {
 public:
  const std::string& fault() const { return fault_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }

  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    if (names_.back().insert(name).second) return true;
    return refuse("it has the name " + quoted_text(name) + " twice in one object");
  }

  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    return refuse("it is not JSON at byte " + std::to_string(position));
  }

 private:
  bool open() {
    names_.emplace_back();
    if (names_.size() <= kMaximumDepth) return true;
    return refuse("it is nested deeper than " + std::to_string(kMaximumDepth) + " levels");
  }
  bool close() {
    names_.pop_back();
    return true;
  }
  bool refuse(std::string fault) {
    fault_ = std::move(fault);
    return false;
  }

  std::vector<std::set<std::string>> names_;  // of each object that is open; none of an array
  std::string fault_;
};

/// The value of a key that is given; one of another type is a problem and gives none.
template <class Value>
std::optional<Value> typed(JsonFields& fields, const std::string& key,
                           bool (Json::*is_type)() const noexcept, const std::string& type) {
  if (!fields.given(key)) return std::nullopt;
  const Json* value = fields.find(key);
  if ((value->*is_type)()) return value->get<Value>();
  fields.problem(key, "must be " + type + ", not " + shown(*value));
  return std::nullopt;
}

}  // namespace

std::string json_object_fault(std::string_view text) {
  if (!text.starts_with('{')) return "it does not begin with {";
  // To the parser byte 0 is the end of the text, whatever follows.
  if (const auto at = text.find('\0'); at != std::string_view::npos)
    return "byte " + std::to_string(at + 1) + " of it is 0";
  FaultFinder finder;
  Json::sax_parse(text, &finder);
  return finder.fault();
}

bool is_utf8(const std::string& text) {
  try {
    static_cast<void>(Json(text).dump());
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

std::string json_text(const nlohmann::ordered_json& value, int indentation) {
  return value.dump(indentation, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) +
         "\n";
}

std::string quoted_text(const std::string& text) {
  const bool is_long = text.size() > kLongestQuote;
  return Json(text.substr(0, kLongestQuote))
             .dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) +
         (is_long ? "..." : "");
}

std::string shown(const Json& value) {
  const auto count = std::to_string(value.size());
  if (value.is_object()) return "a map of " + count + " keys";
  if (value.is_array()) return "a list of " + count;
  const std::string text =
      value.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  return text.size() <= kLongestShown ? text : text.substr(0, kLongestShown) + "…";
}

template <class Json>
const Json* member_of(const Json& value, const char* key) {
  const auto found = value.is_object() ? value.find(key) : value.end();
  return found == value.end() ? nullptr : &*found;
}

template <class Number, class Json>
std::optional<Number> count_of(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto count = value.template get<std::uint64_t>();
  return std::in_range<Number>(count) ? std::optional(static_cast<Number>(count)) : std::nullopt;
}

template <class Number, class Json>
std::optional<std::vector<Number>> counts_of(const Json& list) {
  if (!list.is_array()) return std::nullopt;
  std::vector<Number> counts;
  for (const auto& value : list) {
    const auto count = count_of<Number>(value);
    if (!count) return std::nullopt;
    counts.push_back(*count);
  }
  return counts;
}

template const nlohmann::json* member_of(const nlohmann::json&, const char*);
template const nlohmann::ordered_json* member_of(const nlohmann::ordered_json&, const char*);
template std::optional<std::int64_t> count_of(const nlohmann::json&);
template std::optional<std::uint64_t> count_of(const nlohmann::json&);
template std::optional<std::int64_t> count_of(const nlohmann::ordered_json&);
template std::optional<std::uint64_t> count_of(const nlohmann::ordered_json&);
template std::optional<std::vector<std::int64_t>> counts_of(const nlohmann::json&);
template std::optional<std::vector<std::uint64_t>> counts_of(const nlohmann::json&);
template std::optional<std::vector<std::int64_t>> counts_of(const nlohmann::ordered_json&);
template std::optional<std::vector<std::uint64_t>> counts_of(const nlohmann::ordered_json&);

JsonFields::JsonFields(const Json& object, std::string where, std::string prefix,
                       Problems& problems)
    : object_(object), where_(std::move(where)), prefix_(std::move(prefix)), problems_(problems) {}

bool JsonFields::empty() const { return object_.empty(); }

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
  const bool fits =
      value.is_number_integer() &&
      (!value.is_number_unsigned() || std::in_range<std::int64_t>(value.get<std::uint64_t>()));
  if (!fits || value.get<std::int64_t>() < minimum || value.get<std::int64_t>() > maximum) {
    problem(key, "must be a whole number from " + std::to_string(minimum) + " to " +
                     std::to_string(maximum) + ", not " + shown(value));
    return std::nullopt;
  }
  return value.get<std::int64_t>();
}

std::optional<double> JsonFields::number(const std::string& key) {
  return typed<double>(*this, key, &Json::is_number, "a number");
}

std::optional<double> JsonFields::number_above(const std::string& key, double limit) {
  const auto value = number(key);
  if (!value || *value > limit) return value;
  problem(key, "must be greater than " + round_trip(limit) + ", not " + round_trip(*value));
  return std::nullopt;
}

std::optional<bool> JsonFields::boolean(const std::string& key) {
  return typed<bool>(*this, key, &Json::is_boolean, "true or false");
}

std::optional<std::string> JsonFields::text(const std::string& key) {
  return typed<std::string>(*this, key, &Json::is_string, "text");
}

std::optional<JsonFields> JsonFields::map(const std::string& key) {
  if (!typed<Json>(*this, key, &Json::is_object, "a map of keys")) return std::nullopt;
  return JsonFields(*find(key), where_, prefix_ + key + ".", problems_);
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

std::vector<std::string> JsonFields::pass_unknown_that_are_off() {
  std::vector<std::string> passed;
  for (const auto& [key, value] : object_.items()) {
    const bool is_off = value.is_null() || value == false;
    if (is_off && known_.insert(key).second) passed.push_back(key);
  }
  return passed;
}

void JsonFields::report_unknown() {
  const std::vector<std::string> known(known_.begin(), known_.end());
  for (const auto& [key, value] : object_.items()) {
    if (known_.contains(key) || value.is_null()) continue;
    const std::string nearest = nearest_word(key, known);
    problem(key, "unknown key; " +
                     (nearest.empty() ? std::string() : "is " + nearest + " meant? ") +
                     "Zebra cannot tell whether it changes the model; remove it if it does not");
  }
}

}  // namespace zebra
