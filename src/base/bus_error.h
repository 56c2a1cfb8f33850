#pragma once

#include <cstddef>
#include <string>

namespace zebra {

/// From now on a read within these mapped bytes of a file that can no longer be had (somebody has
/// truncated it, or its disk fails) ends the process with a message that names the file and status
/// 1, instead of by a signal without a word. Thread-safe.
void watch_mapping(const void* begin, std::size_t bytes, const std::string& path);

/// Before the bytes are unmapped.
void unwatch_mapping(const void* begin);

}  // namespace zebra
