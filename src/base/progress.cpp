#include "base/progress.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#include "base/text.h"

namespace zebra {
namespace {

constexpr double kTerminalInterval = 0.2;  // seconds
constexpr double kLogInterval = 10.0;
constexpr int kBarWidth = 24;

std::string amount(double value, const std::string& unit) {
  return unit == "bytes" ? with_byte_unit(value) : with_suffix(value) + " " + unit;
}

}  // namespace

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

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
