#include "base/log.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/message.h"
#include "base/record_file.h"
#include "base/system.h"
#include "base/text.h"

namespace zebra {
namespace {

std::mutex g_mutex;
std::optional<RecordFile> g_file;
std::string g_name;  // of a process that logs only problems

void write_line(std::string_view level, std::string_view line) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char date[16], time_of_day[16];
  std::strftime(date, sizeof date, "%Y-%m-%d ", &local);
  std::strftime(time_of_day, sizeof time_of_day, "%H:%M:%S ", &local);
  const std::string text = time_of_day + std::string(level) + printable(line, "\n\t");
  const std::lock_guard lock(g_mutex);
  std::fputs((text + "\n").c_str(), stderr);
  if (!g_file) return;
  const auto problem = g_file->append(date + text + "\n");  // the file lives for weeks
  if (!problem.empty()) std::fputs(("warning: " + problem + "\n").c_str(), stderr);
}

std::string named(std::string_view line) {
  return (g_name.empty() ? "" : g_name + ": ") + std::string(line);
}

}  // namespace

void log_info(std::string_view line) {
  if (g_name.empty()) write_line("", line);
}
void log_warning(std::string_view line) { write_line("warning: ", named(line)); }
void log_problem(std::string_view problem) {
  if (!problem.empty()) log_warning(problem);
}
void log_error(std::string_view line) { write_line("error: ", named(line)); }
void log_job_error(std::string_view line) { write_line("error: ", line); }

void log_only_problems(std::string_view name) { g_name = name; }

void open_log_file(const std::filesystem::path& path) {
  const std::lock_guard lock(g_mutex);
  g_file.emplace(path);
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
    : label_(printable(label)),
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
