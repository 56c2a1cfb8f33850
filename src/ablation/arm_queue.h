#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ablation/sweep_folder.h"
#include "base/file_lock.h"

// The arms on their way: each is a process of its own, so that whatever becomes of one, others are
// untouched.

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
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Whether it has ended; never waits.
  bool has_ended();

  /// Valid once it has ended.
  const ExitReport& report() const { return report_; }

  /// Sends a signal, if it still runs.
  void send(int signal);

 private:
  pid_t pid_ = -1;  // -1: ended
  ExitReport report_;
};

/// The file of the program that runs.
std::filesystem::path own_program();

/// What it takes to bring one arm to its end. Commands are programs with their arguments.
struct ArmCommands {
  std::vector<std::string> train;   ///< done, stopped, or failed: base/exit_status.h
  std::vector<std::string> recall;  ///< writes ArmPaths::recall()
  ChildProcess::Variables variables;
};

/// An arm on its way: waits until no other process works on it, trains it, measures its recall, as
/// far as another has not done that yet.
class ArmRun {
 public:
  enum class Phase { waiting, training, measuring, over };

  ArmRun(const ArmPaths& paths, const ArmGoal& goal, ArmCommands commands);

  /// Goes on as far as possible without waiting; true once it is over.
  bool poll();

  /// Asks it to save and end. It is over when poll() says so.
  void stop(int signal);

  Phase phase() const { return phase_; }

 private:
  void advance();
  void begin();
  void start(Phase phase, const std::vector<std::string>& command);
  void fail(const ExitReport& report);

  ArmPaths paths_;
  ArmGoal goal_;
  ArmCommands commands_;
  std::optional<FileLock> lock_;  // until it is over: one process at a time works on an arm
  Phase phase_ = Phase::waiting;
  bool is_stopping_ = false;
  std::unique_ptr<ChildProcess> child_;
};

struct QueuedArm {
  std::string name;
  ArmPaths paths;
  ArmGoal goal;
  ArmCommands commands;
};

/// One for each arm that may be on its way at the same time: what its processes get in their
/// environment (threads, a GPU of their own).
using JobSlots = std::vector<ChildProcess::Variables>;

/// Slots for `jobs` arms at a time: several have equal shares of the processors, and a GPU each
/// where arms run on GPUs.
JobSlots job_slots(int jobs, bool on_gpu);

/// Brings the arms to their end, in order, on as many slots as there are, with a progress bar.
/// Those that are finished, or failed for good, are passed over. A failure stops no other arm. A
/// stop signal (see stop_signal.h) asks all of them to save and end.
void run_arms(const std::vector<QueuedArm>& arms, const JobSlots& slots);

/// How many of them have failed so far.
std::int64_t count_failed(const std::vector<QueuedArm>& arms);

}  // namespace zebra
