#pragma once

#include <string>

#include "config/value.h"

namespace zebra {

/// The value as YAML on one line, with its variables (`${NAME}`) expanded; what reads it gets the
/// same value. Throws InputError when a variable is not set.
std::string one_line_yaml(const Value& value);

/// What a name says of the value: its scalars, joined by "-"; "default" for none.
std::string label_text(const Value& value);

/// `text` with "-" in place of every byte outside [A-Za-z0-9._-], which are safe in folder names.
std::string folder_name(const std::string& text);

/// Whether two values, as one_line_yaml writes them, are the same: equal numbers, or equal text.
bool is_same_value(const std::string& a, const std::string& b);

}  // namespace zebra
