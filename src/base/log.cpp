#include "base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/system.h"
#include "base/text.h"

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
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
  const int descriptor = ::open(path.c_str(), kFlags, 0644);
  std::FILE* file = descriptor < 0 ? nullptr : ::fdopen(descriptor, "a");
  if (file == nullptr) {
    throw RunError(path.string() + ": cannot open the log file: " +
                   (errno == ELOOP ? "it is a link, which is not followed" : std::strerror(errno)));
  }
  const std::lock_guard lock(g_mutex);
  g_file.reset(file);
}

namespace {

constexpr double kTerminalInterval = 0.2;  // seconds
constexpr double kLogInterval = 10.0;
constexpr int kBarWidth = 24;

std::string amount(double value, const std::string& unit) {
  return unit == "bytes" ? with_byte_unit(value) : with_suffix(value) + " " + unit;
}

}  // namespace

ProgressBar::ProgressBar(std::string label, std::uint64_t total, std::string unit)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      started_(monotonic_seconds()),
      last_drawn_(started_),
      terminal_(::isatty(STDERR_FILENO) == 1) {}

void ProgressBar::update(std::uint64_t done, const std::string& detail) {
  const double now = monotonic_seconds();
  if (now - last_drawn_ < (terminal_ ? kTerminalInterval : kLogInterval)) return;
  last_drawn_ = now;
  draw(done, detail, false);
}

void ProgressBar::finish(std::uint64_t done, const std::string& detail) {
  draw(done, detail, true);
}

void ProgressBar::draw(std::uint64_t done, const std::string& detail, bool last) {
  const double elapsed = std::max(monotonic_seconds() - started_, 1e-9);
  const double rate = static_cast<double>(done) / elapsed;
  std::string line = label_ + " ";
  if (total_ > 0) {
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
    const auto filled = static_cast<std::size_t>(share * kBarWidth);
    line += "[" + std::string(filled, '=') + std::string(kBarWidth - filled, ' ') + "] " +
            fixed(100 * share, 0) + "% ";
  }
  line += amount(static_cast<double>(done), unit_) + ", " + amount(rate, unit_) + "/s";
  if (!detail.empty()) line += ", " + detail;
  if (last) {
    line += ", took " + duration_text(elapsed);
  } else if (total_ > done && rate > 0) {
    line += ", " + duration_text(static_cast<double>(total_ - done) / rate) + " left";
  }
  if (terminal_) {
    std::fprintf(stderr, "\r\033[K%s%s", line.c_str(), last ? "\n" : "");
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  std::fflush(stderr);
}

}  // namespace zebra
