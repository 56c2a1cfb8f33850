#pragma once

#include <string>

namespace zebra {

/// Replaces each `${NAME}` by that environment variable; `$${` stands for a literal `${`. Throws
/// InputError, without a place, when a variable is not set or the braces hold no name.
std::string expand_variables(const std::string& text);

/// The text that expand_variables turns back into `text`.
std::string escape_variables(const std::string& text);

}  // namespace zebra
