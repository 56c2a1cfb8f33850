#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace zebra {

/// Bytes of the well-formed character that `text`, which is not empty, begins with; 0 when there is
/// none.
std::size_t character_bytes(std::string_view text);

/// Whether `text` is well-formed UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool is_valid_utf8(std::string_view text);

/// The last place at or before `position` at which a character of `text` begins; `position` itself
/// where the bytes around it are no UTF-8. `position` must be at most the size of `text`.
std::size_t character_boundary(std::string_view text, std::size_t position);

/// `text` with U+FFFD for what is not well-formed: one for each longest beginning of a character,
/// as Python's "replace" and Rust's lossy conversion have it.
std::string with_replacements(std::string_view text);

}  // namespace zebra
