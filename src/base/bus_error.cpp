#include "base/bus_error.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>

#include "base/error.h"

namespace zebra {
namespace {

// The handler may only read what is there already: a table of fixed size, and no lock. Mappings
// beyond it are not watched.
struct Mapping {
  std::atomic<const char*> begin = nullptr;
  std::atomic<std::size_t> bytes = 0;
  std::array<char, 1024> path = {};
};
std::array<Mapping, 1024> mappings;
std::mutex mappings_mutex;  // of those who write
struct sigaction action_before;

void write_text(const char* text) {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, std::strlen(text));
}

void on_bus_error(int, siginfo_t* info, void*) {
  const auto* address = static_cast<const char*>(info->si_addr);
  for (const auto& mapping : mappings) {
    const char* begin = mapping.begin;
    if (begin == nullptr || address < begin || address >= begin + mapping.bytes) continue;
    write_text("zebra: ");
    write_text(mapping.path.data());
    write_text(
        ": can no longer be read: it was truncated while it was in use, or its disk fails; put it "
        "back as it was and start again\n");
    ::_exit(kExitFailed);
  }
  ::sigaction(SIGBUS, &action_before, nullptr);  // not ours: the access is tried again, without us
}

void install_handler() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigaction(SIGBUS, &action, &action_before);
}

}  // namespace

void watch_mapping(const void* begin, std::size_t bytes, const std::string& path) {
  static std::once_flag installed;
  std::call_once(installed, install_handler);
  const std::lock_guard lock(mappings_mutex);
  for (auto& mapping : mappings) {
    if (mapping.begin != nullptr) continue;
    path.copy(mapping.path.data(), mapping.path.size() - 1);
    mapping.path[std::min(path.size(), mapping.path.size() - 1)] = '\0';
    mapping.bytes = bytes;
    mapping.begin = static_cast<const char*>(begin);
    return;
  }
}

void unwatch_mapping(const void* begin) {
  const std::lock_guard lock(mappings_mutex);
  for (auto& mapping : mappings) {
    if (mapping.begin == begin) mapping.begin = nullptr;
  }
}

}  // namespace zebra
