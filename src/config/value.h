#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zebra {

/// Where something was written: a file with a line (from 1), or "--set key=value" or "preset NAME"
/// with line 0.
struct Origin {
  std::string source;
  int line = 0;

  /// "run.yaml:12", or the source alone when there is no line.
  std::string text() const;
};

struct Entry;

/// A YAML document as plain data in which every key and list item still knows where it was written.
struct Value {
  enum class Kind { null, scalar, list, map };

  Kind kind = Kind::null;
  Origin origin;
  std::string scalar;          // kind scalar: the text without quotes
  std::vector<Value> items;    // kind list
  std::vector<Entry> entries;  // kind map, in the order of writing, without duplicates

  /// The entry of a map, or null.
  const Entry* find(std::string_view key) const;
  Entry* find(std::string_view key);

  /// What messages call it: the text of a scalar in quotes, "a list", "a map", "empty".
  std::string described() const;
};

struct Entry {
  std::string key;
  Origin origin;  // of the key
  Value value;
};

/// Lays `over` on top of `base`: maps merge key by key, scalars and lists replace, an empty section
/// changes nothing.
void merge(Value& base, const Value& over);

/// The number that the text of a scalar stands for, or nothing: the one reading of numbers for run
/// files and sweep files. "+5" is one. A whole number may be written as "1e6" or "2.5e3" below
/// 2^53, with all its digits up to 2^63 - 1. Others must be finite.
std::optional<std::int64_t> integer_from(std::string_view text);
std::optional<double> number_from(std::string_view text);

/// Replaces each `${NAME}` by that environment variable; `$${` stands for a literal `${`. Throws
/// InputError, without a place, when a variable is not set or the braces hold no name.
std::string expand_variables(const std::string& text);

/// A path that begins with "~/", or is "~", as one in the home folder. Throws InputError, without a
/// place, when HOME is not set.
std::string expand_home(const std::string& path);

/// The text that expand_variables turns back into `text`.
std::string escape_variables(const std::string& text);

}  // namespace zebra
