#pragma once

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

namespace zebra {

/// What the machine's processors call themselves: "Intel(R) Xeon(R) …", "unknown processor".
std::string processor_name();

/// The same with their number: "2 x Intel(R) Xeon(R) …".
std::string machine_name();

/// What the machine calls itself on its network.
std::string host_name();

/// Bytes of memory that this process may use at most: the machine's, or fewer where its control
/// group has fewer.
std::int64_t memory_of_machine();

/// Lets this process have as many files open as the system lets it, which by default are fewer.
void raise_open_file_limit();

/// "2026-01-31T12:00:00Z".
std::string utc_text(std::time_t seconds);

/// Seconds on a clock that never goes back.
double monotonic_seconds();

/// The command that runs `script` of the folder scripts with these arguments: with the Python of
/// ZEBRA_PYTHON in the environment, else that of the checkout's .venv, else python3.
std::vector<std::string> python_command(const std::string& script,
                                        const std::vector<std::string>& arguments);

/// Runs it and waits. Throws RunError with the command, to be run by hand, when it fails.
void run_python_script(const std::string& script, const std::vector<std::string>& arguments);

}  // namespace zebra
