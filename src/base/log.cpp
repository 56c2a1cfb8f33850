#include "base/log.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>

#include "base/error.h"

namespace zebra {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

std::mutex g_mutex;
std::unique_ptr<std::FILE, CloseFile> g_file;
std::string g_name;  // of a process that logs only problems

void write_line(std::string_view level, std::string_view line) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char time_of_day[16];
  std::strftime(time_of_day, sizeof time_of_day, "%H:%M:%S", &local);
  const std::string text =
      std::string(time_of_day) + " " + std::string(level) + std::string(line) + "\n";
  const std::lock_guard lock(g_mutex);
  std::fputs(text.c_str(), stderr);
  if (g_file != nullptr) {
    std::fputs(text.c_str(), g_file.get());
    std::fflush(g_file.get());
  }
}

std::string named(std::string_view line) {
  return (g_name.empty() ? "" : g_name + ": ") + std::string(line);
}

}  // namespace

void log_info(std::string_view line) {
  if (g_name.empty()) write_line("", line);
}
void log_warning(std::string_view line) { write_line("warning: ", named(line)); }
void log_error(std::string_view line) { write_line("error: ", named(line)); }
void log_job_error(std::string_view line) { write_line("error: ", line); }

void log_only_problems(std::string_view name) { g_name = name; }

void open_log_file(const std::filesystem::path& path) {
  std::FILE* file = std::fopen(path.c_str(), "a");
  if (file == nullptr)
    throw RunError(path.string() + ": cannot open the log file: " + std::strerror(errno));
  const std::lock_guard lock(g_mutex);
  g_file.reset(file);
}

}  // namespace zebra
