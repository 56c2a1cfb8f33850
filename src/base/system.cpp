#include "base/system.h"

#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "base/build_info.h"
#include "base/error.h"

extern char** environ;

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

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

void raise_open_file_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);  // where it fails, opening a file says so
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

std::string utc_text(std::time_t seconds) {
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

namespace {

// Beside an installed command, or in the checkout that this was built from.
std::filesystem::path scripts_folder() {
  const auto program = std::filesystem::read_symlink("/proc/self/exe");
  const auto installed = program.parent_path().parent_path() / "share" / "zebra" / "scripts";
  if (std::filesystem::is_directory(installed)) return installed;
  return std::filesystem::path(kSourceFolder) / "scripts";
}

std::string python() {
  if (const char* chosen = std::getenv("ZEBRA_PYTHON"); chosen != nullptr && *chosen != '\0')
    return chosen;
  const auto own = std::filesystem::path(kSourceFolder) / ".venv/bin/python";
  return std::filesystem::exists(own) ? own.string() : "python3";
}

}  // namespace

std::vector<std::string> python_command(const std::string& script,
                                        const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {python(), (scripts_folder() / script).string()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

void run_python_script(const std::string& script, const std::vector<std::string>& arguments) {
  auto command = python_command(script, arguments);
  std::vector<char*> pointers;
  for (auto& word : command) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t child = -1;
  int status = ::posix_spawnp(&child, pointers[0], nullptr, nullptr, pointers.data(), environ);
  std::string problem = status == 0 ? "" : std::strerror(status);
  if (problem.empty()) {
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) problem = "see its message above";
  }
  if (problem.empty()) return;
  throw RunError("a script failed (" + problem +
                 "); it needs Python with scripts/requirements.txt (ZEBRA_PYTHON names another "
                 "Python). To run it by hand: " +
                 join(command, " "));
}

}  // namespace zebra
