#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace zebra {

/// The command that runs `script` of the folder scripts with these arguments: with the Python of
/// ZEBRA_PYTHON in the environment, else that of the checkout's .venv, else python3.
std::vector<std::string> python_command(const std::string& script,
                                        const std::vector<std::string>& arguments);

/// Runs it and waits. Throws RunError with the command, to be run by hand, when it fails.
void run_python_script(const std::string& script, const std::vector<std::string>& arguments);

}  // namespace zebra
