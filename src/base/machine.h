#pragma once

#include <cstdint>
#include <string>

namespace zebra {

/// What the machine's processors call themselves: "Intel(R) Xeon(R) …", "unknown processor".
std::string processor_name();

/// The same with their number: "2 x Intel(R) Xeon(R) …".
std::string machine_name();

/// Bytes of memory that this process may use at most: the machine's, or fewer where its control
/// group has fewer.
std::int64_t memory_of_machine();

}  // namespace zebra
