#pragma once

#include <filesystem>
#include <string_view>

namespace zebra {

/// Lines for people: to standard error with the time of day, and to the log file once one is open.
/// Thread-safe. Standard output is left to the results of a command.
void log_info(std::string_view line);
void log_warning(std::string_view line);
void log_error(std::string_view line);

/// An error of a whole job, which says itself whose it is: without the name of this process.
void log_job_error(std::string_view line);

/// For a process that is not the one that talks to people: from now on informative lines are left
/// out, and the others begin with `name` ("rank 3").
void log_only_problems(std::string_view name);

/// Appends all later lines to `path` too, instead of a file opened before. Throws RunError when it
/// cannot be opened.
void open_log_file(const std::filesystem::path& path);

}  // namespace zebra
