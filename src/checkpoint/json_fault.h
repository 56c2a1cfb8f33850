#pragma once

#include <string>
#include <string_view>

namespace zebra {

/// What keeps `text` from being a JSON object that everybody reads the same way, for a message;
/// empty when nothing does. Beyond the grammar: no name twice in one object, no byte 0, and at most
/// 64 levels deep, so that a hostile file exhausts no stack.
std::string json_object_fault(std::string_view text);

/// A string of a file in quotes for a message: control characters escaped, a long one cut.
std::string quoted_text(const std::string& text);

}  // namespace zebra
