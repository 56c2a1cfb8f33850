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

/// From now on malloc keeps what is freed for the rest of the process. Else every tensor above some
/// megabytes comes as fresh pages, whose faults cost a training step on the CPU up to a third of
/// its time.
void keep_freed_memory();

}  // namespace zebra
