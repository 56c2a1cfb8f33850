#pragma once

#include <string>

#include "config/value.h"

namespace zebra {

/// Parses the text of a run file, which must be empty or a map, resolving anchors and `<<`.
/// `source` names the file in messages; without `has_lines` origins are the source alone (for text
/// that is no file of the user's). Throws InputError: invalid YAML, keys given twice, more than one
/// document.
Value parse_yaml(const std::string& text, const std::string& source, bool has_lines = true);

/// Parses "a.b.c=VALUE", where VALUE is YAML, into nested maps. Throws InputError.
Value parse_override(const std::string& text);

}  // namespace zebra
