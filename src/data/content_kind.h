#pragma once

#include <string>
#include <string_view>

namespace zebra {

/// What content that begins with `start` is instead of text (Parquet, an archive, UTF-16, …) and
/// the way out, as the end of a sentence that begins with the file; empty where it may be text.
std::string known_binary_kind(std::string_view start);

/// The same for content that has a byte 0, as text has not.
std::string zero_byte_kind(std::string_view start);

}  // namespace zebra
