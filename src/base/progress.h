#pragma once

#include <cstdint>
#include <string>

namespace zebra {

/// A line about long work on standard error: share done, rate and time left. On a terminal it
/// redraws itself a few times a second; elsewhere (a log file) it prints a line every ten seconds.
/// Not thread-safe.
class ProgressBar {
 public:
  /// `total` in `unit`s; 0 when unknown.
  ProgressBar(std::string label, std::uint64_t total, std::string unit);

  /// `done` so far; `detail` is appended (for example "1.2M tokens").
  void update(std::uint64_t done, const std::string& detail = "");

  /// Prints the last state and ends the line.
  void finish(std::uint64_t done, const std::string& detail = "");

 private:
  void draw(std::uint64_t done, const std::string& detail, bool last);

  std::string label_, unit_;
  std::uint64_t total_;
  double started_, last_drawn_;
  bool terminal_;
};

/// Seconds on a clock that never goes back.
double monotonic_seconds();

}  // namespace zebra
