#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace zebra {

/// Lines for people: to standard error with the time of day, and to the log file once one is open.
/// Thread-safe. Standard output is left to the results of a command.
void log_info(std::string_view line);
void log_warning(std::string_view line);
void log_error(std::string_view line);

/// Warns of a problem; an empty text is none.
void log_problem(std::string_view problem);

/// An error of a whole job, which says itself whose it is: without the name of this process.
void log_job_error(std::string_view line);

/// For a process that is not the one that talks to people: from now on informative lines are left
/// out, and the others begin with `name` ("rank 3").
void log_only_problems(std::string_view name);

/// Appends all later lines to `path` too, instead of a file opened before. Throws RunError when it
/// cannot be opened.
void open_log_file(const std::filesystem::path& path);

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

}  // namespace zebra
