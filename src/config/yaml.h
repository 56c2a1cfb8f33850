#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>

#include "config/names.h"
#include "config/training_point.h"
#include "config/value.h"

// Values as YAML that reads back to the same value, also with parsers that follow YAML 1.1
// (Python's): strings are quoted where a parser could take them for something else, and
// floating-point numbers always have a point.

namespace zebra {

/// Parses the text of a run file, which must be empty or a map, resolving anchors and `<<`.
/// `source` names the file in messages; without `has_lines` origins are the source alone (for text
/// that is no file of the user's). Top-level keys that begin with "x-" are left out. Throws
/// InputError: invalid YAML, keys given twice, more than one document, aliases that stand for more
/// values than a file may have.
Value parse_yaml(const std::string& text, const std::string& source, bool has_lines = true);

/// Parses "a.b.c=VALUE", where VALUE is YAML, into nested maps. Throws InputError.
Value parse_override(const std::string& text);

std::string yaml_text(std::int64_t value);
std::string yaml_text(double value);
std::string yaml_text(bool value);
std::string yaml_text(const std::string& value);
std::string yaml_text(const std::filesystem::path& value);
std::string yaml_text(const std::array<double, 2>& value);
std::string yaml_text(const TrainingPoint& value);

template <NamedEnum E>
std::string yaml_text(E value) {
  return name_of(value);
}

/// The value on one line with its variables (`${NAME}`) expanded; what reads it gets the same
/// value. Throws InputError when a variable is not set.
std::string one_line_yaml(const Value& value);

}  // namespace zebra
