#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ablation/child_process.h"
#include "ablation/sweep_folder.h"

namespace zebra {

/// What it takes to bring one arm to its end. Commands are programs with their arguments.
struct ArmCommands {
  std::vector<std::string> train;   ///< done, stopped, or failed: base/exit_status.h
  std::vector<std::string> recall;  ///< writes ArmPaths::recall()
  ChildProcess::Variables variables;
};

/// An arm on its way: waits until no other process works on it, trains it, measures its recall.
/// Each is a process of its own, so that whatever becomes of one, others are untouched.
class ArmRun {
 public:
  enum class Phase { waiting, training, measuring, over };

  ArmRun(const ArmPaths& paths, ArmCommands commands);

  /// Goes on as far as possible without waiting; true once it is over.
  bool poll();

  /// Asks it to save and end. It is over when poll() says so.
  void stop(int signal);

  Phase phase() const { return phase_; }

 private:
  void advance();
  void start(Phase phase, const std::vector<std::string>& command);
  void after_training(const ExitReport& report);
  void after_measuring(const ExitReport& report);
  void fail(const std::string& what, const ExitReport& report);

  ArmPaths paths_;
  ArmCommands commands_;
  std::optional<ArmLock> lock_;  // until it is over
  Phase phase_ = Phase::waiting;
  bool is_stopping_ = false;
  std::unique_ptr<ChildProcess> child_;
};

}  // namespace zebra
