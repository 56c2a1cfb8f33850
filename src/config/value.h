#pragma once

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
};

struct Entry {
  std::string key;
  Origin origin;  // of the key
  Value value;
};

/// Lays `over` on top of `base`: maps merge key by key, scalars and lists replace, an empty section
/// changes nothing.
void merge(Value& base, const Value& over);

}  // namespace zebra
