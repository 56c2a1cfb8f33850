#include "ablation/arm_run.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace zebra {
namespace {

std::string last_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string last;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) last = line;
  }
  return last;
}

// Why a run says that it failed; empty where it says something else.
std::string recorded_reason(const std::filesystem::path& run) {
  const auto path = run / "status.json";
  if (!std::filesystem::exists(path)) return "";
  const auto status = nlohmann::json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  return status.is_object() && status.value("state", "") == "failed" ? status.value("reason", "")
                                                                     : "";
}

}  // namespace

ArmRun::ArmRun(const ArmPaths& paths, ArmCommands commands)
    : paths_(paths), commands_(std::move(commands)), lock_(std::in_place, paths.lock) {}

bool ArmRun::poll() {
  if (phase_ != Phase::over) advance();
  if (phase_ == Phase::over) lock_.reset();
  return phase_ == Phase::over;
}

void ArmRun::advance() {
  if (phase_ == Phase::waiting) {
    if (is_stopping_) {
      phase_ = Phase::over;
    } else if (lock_->try_to_take()) {
      std::filesystem::remove(paths_.failure);
      start(Phase::training, commands_.train);
    }
    return;
  }
  if (!child_->has_ended()) return;
  const ExitReport report = child_->report();
  if (phase_ == Phase::training) {
    after_training(report);
  } else {
    after_measuring(report);
  }
}

void ArmRun::stop(int signal) {
  is_stopping_ = true;
  if (child_) child_->send(signal);
}

void ArmRun::start(Phase phase, const std::vector<std::string>& command) {
  child_ =
      std::make_unique<ChildProcess>(command, commands_.variables, paths_.log, lock_->descriptor());
  phase_ = phase;
}

void ArmRun::after_training(const ExitReport& report) {
  if (report.is_done() && !is_stopping_) return start(Phase::measuring, commands_.recall);
  const bool is_stopped = report.is_done() || report.status == kExitStopped || is_stopping_;
  if (!is_stopped) fail("training", report);
  phase_ = Phase::over;
}

void ArmRun::after_measuring(const ExitReport& report) {
  if (!report.is_done() && !is_stopping_) fail("measuring recall", report);
  phase_ = Phase::over;
}

void ArmRun::fail(const std::string& what, const ExitReport& report) {
  auto reason = what == "training" ? recorded_reason(paths_.run) : "";
  if (reason.empty() || report.signal != 0) reason = last_line(paths_.log);
  write_file_atomically(paths_.failure, what + " ended with " + report.text() +
                                            (reason.empty() ? "" : ": " + reason) + "\n");
}

}  // namespace zebra
