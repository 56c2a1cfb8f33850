#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace zebra {

// Reading JSON that others wrote: what is wrong with it becomes a message, never an exception of
// the JSON library.

/// What keeps `text` from being a JSON object that everybody reads the same way, for a message;
/// empty when nothing does. Beyond the grammar: no name twice in one object, no byte 0, and at most
/// 64 levels deep, so that a hostile file exhausts no stack.
std::string json_object_fault(std::string_view text);

/// Whether JSON can hold the text as it is.
bool is_utf8(const std::string& text);

/// What is written of a JSON value: a line, or lines with that indentation. Never throws: bytes
/// that are no UTF-8, as paths and messages may have them, become U+FFFD.
std::string json_text(const nlohmann::ordered_json& value, int indentation = -1);

/// A string of a file in quotes for a message: control characters escaped, a long one cut.
std::string quoted_text(const std::string& text);

/// A value as messages show it: cut off where it is long, lists and maps by their length.
std::string shown(const nlohmann::json& value);

// The following are for nlohmann::json and ::ordered_json, and for int64 and uint64.

/// A member of an object; nullptr where it is absent, or where `value` is not an object.
template <class Json>
const Json* member_of(const Json& value, const char* key);

/// A whole number from 0 that fits; nothing for any other value.
template <class Number, class Json>
std::optional<Number> count_of(const Json& value);

/// A list of such numbers; nothing for any other value.
template <class Number, class Json>
std::optional<std::vector<Number>> counts_of(const Json& list);

/// A JSON object whose keys are asked for one by one. Each problem is added as "WHERE: KEY: WHAT";
/// a key that is absent (or null, where the reader says so) and one with a problem both give
/// nothing. What nobody has asked for can be reported as unknown at the end.
class JsonFields {
 public:
  /// `object` is a JSON object and outlives this. `prefix` is put before the keys in messages.
  JsonFields(const nlohmann::json& object, std::string where, std::string prefix,
             Problems& problems);

  bool empty() const;

  /// The value, null included; nothing where the key is absent.
  const nlohmann::json* find(const std::string& key);
  /// Present and not null.
  bool given(const std::string& key);

  // A value of another type is a problem; null counts as absent.
  std::optional<std::int64_t> integer(const std::string& key, std::int64_t minimum,
                                      std::int64_t maximum);
  std::optional<double> number(const std::string& key);
  std::optional<double> number_above(const std::string& key, double limit);
  std::optional<bool> boolean(const std::string& key);
  std::optional<std::string> text(const std::string& key);
  /// A map with keys of its own, which messages name as "KEY.INNER".
  std::optional<JsonFields> map(const std::string& key);

  /// Refuses every value but null and those; `why` ends the message.
  void require_neutral(const std::string& key, const std::vector<nlohmann::json>& neutral,
                       const std::string& why);
  /// Takes note of keys whose values do not matter.
  void ignore(std::initializer_list<const char*> keys);

  void problem(const std::string& key, const std::string& what);
  /// Whether none of the keys had a problem.
  bool sound(std::initializer_list<const char*> keys) const;
  bool all_sound() const { return unsound_.empty(); }

  /// Takes note of keys that were never asked for and are null or false, and names them.
  std::vector<std::string> pass_unknown_that_are_off();
  /// Adds a problem for each key that was never asked for and is not null, with the nearest of
  /// those that were.
  void report_unknown();

 private:
  const nlohmann::json& object_;
  std::string where_, prefix_;
  Problems& problems_;
  std::set<std::string> known_, unsound_;
};

}  // namespace zebra
