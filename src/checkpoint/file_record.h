#pragma once

#include <cstdint>
#include <string>

namespace zebra {

/// Size and hash of a file as a manifest records them.
struct FileRecord {
  std::uint64_t size = 0;
  std::string hash;
};

}  // namespace zebra
