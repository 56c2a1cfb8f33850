#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace zebra {

/// How a process ended: by exiting with `status`, or by a signal.
struct ExitReport {
  int status = 0;
  int signal = 0;  ///< 0: none

  bool is_done() const { return status == 0 && signal == 0; }
  /// "exit status 1", "signal 9 (Killed)".
  std::string text() const;
};

/// A program that runs beside this one, with its output in a file. It gets SIGTERM when this
/// process dies, however that happens. The destructor asks a running one to stop and waits for it.
class ChildProcess {
 public:
  using Variables = std::vector<std::pair<std::string, std::string>>;

  /// Starts `command` (a path and its arguments) with `variables` added to the environment. Output
  /// and errors are appended to `log`. A descriptor `inherited` (-1: none) stays open in the child.
  /// Throws RunError when it cannot be started.
  ChildProcess(const std::vector<std::string>& command, const Variables& variables,
               const std::filesystem::path& log, int inherited = -1);
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;

  /// Whether it has ended; never waits.
  bool has_ended();

  /// Valid once it has ended.
  const ExitReport& report() const { return report_; }

  /// Sends a signal, if it still runs.
  void send(int signal);

 private:
  void collect(int wait_status);

  pid_t pid_ = -1;  // -1: ended
  ExitReport report_;
};

/// The file of the program that runs.
std::filesystem::path own_program();

}  // namespace zebra
