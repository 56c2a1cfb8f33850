#include "base/machine.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace zebra {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(": ");
    if (!line.starts_with("model name") || colon == std::string::npos) continue;
    return line.substr(colon + 2);
  }
  return "unknown processor";
}

std::string machine_name() {
  return std::to_string(::sysconf(_SC_NPROCESSORS_ONLN)) + " x " + processor_name();
}

std::int64_t memory_of_machine() {
  std::int64_t bytes = std::int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
  // The limit of a container, in the second version of control groups and in the first; "max" and
  // numbers beyond the machine's mean none.
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream file(path);
    std::int64_t limit = 0;
    if (file >> limit && limit > 0) bytes = std::min(bytes, limit);
  }
  return bytes;
}

}  // namespace zebra
