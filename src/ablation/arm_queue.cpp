#include "ablation/arm_queue.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "base/log.h"
#include "base/system.h"
#include "base/text.h"
#include "train/stop_signal.h"

namespace zebra {
namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(100);
constexpr double kSecondsBetweenReports = 1.0;  // reading metrics costs more than a look at a child

struct Running {
  const QueuedArm* arm;
  std::size_t slot;
  std::unique_ptr<ArmRun> run;
};

class ArmQueue {
 public:
  ArmQueue(const std::vector<QueuedArm>& arms, const JobSlots& slots)
      : slots_(slots), is_free_(slots.size(), true) {
    std::uint64_t total = 0;
    for (const auto& arm : arms) {
      const auto status = read_arm_status(arm.paths);
      if (status.state == ArmState::finished) {
        ++over_;
      } else if (status.is_final) {
        log_warning(arm.name + ": " + status.reason + " (another attempt would end alike)");
        ++over_;
      } else {
        waiting_.push_back(&arm);
        const auto before = read_arm_progress(arm.paths.metrics()).step;
        steps_before_ += before;
        total += static_cast<std::uint64_t>(std::max<std::int64_t>(0, arm.steps - before));
      }
    }
    arms_ = arms.size();
    if (total > 0) bar_ = std::make_unique<ProgressBar>("arms", total, "steps");
  }

  void run() {
    bool is_stopping = false;
    while (!waiting_.empty() || !running_.empty()) {
      if (!is_stopping && stop_signal() != 0) {
        is_stopping = true;
        stop(stop_signal());
      }
      start_waiting();
      collect();
      report();
      std::this_thread::sleep_for(kPollInterval);
    }
    if (bar_) bar_->finish(steps_done());
  }

 private:
  void stop(int signal) {
    log_info(stop_signal_name(signal) + ": the running arms save and end");
    waiting_.clear();
    for (auto& running : running_) running.run->stop(signal);
  }

  void start_waiting() {
    for (std::size_t slot = 0; slot < slots_.size() && !waiting_.empty(); ++slot) {
      if (!is_free_[slot]) continue;
      const QueuedArm* arm = waiting_.front();
      waiting_.erase(waiting_.begin());
      auto commands = arm->commands;
      commands.variables.insert(commands.variables.end(), slots_[slot].begin(), slots_[slot].end());
      running_.push_back({arm, slot, std::make_unique<ArmRun>(arm->paths, std::move(commands))});
      is_free_[slot] = false;
    }
  }

  void collect() {
    std::erase_if(running_, [this](Running& running) {
      if (!running.run->poll()) return false;
      is_free_[running.slot] = true;
      steps_of_ended_ += read_arm_progress(running.arm->paths.metrics()).step;
      const auto status = read_arm_status(running.arm->paths);
      if (status.state == ArmState::finished) {
        log_info(running.arm->name + " is done");
        ++over_;
      } else if (status.state == ArmState::failed) {
        log_error(running.arm->name + ": " + status.reason + " (" +
                  running.arm->paths.log.string() + ")");
        ++over_;
      }
      return true;
    });
  }

  // Since this start: an arm that goes on from a checkpoint repeats a few.
  std::uint64_t steps_done() const {
    std::int64_t steps = steps_of_ended_ - steps_before_;
    for (const auto* arm : waiting_) steps += read_arm_progress(arm->paths.metrics()).step;
    for (const auto& running : running_)
      steps += read_arm_progress(running.arm->paths.metrics()).step;
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, steps));
  }

  void report() {
    const double now = monotonic_seconds();
    if (!bar_ || now - last_report_ < kSecondsBetweenReports) return;
    last_report_ = now;
    std::string detail = std::to_string(over_) + " of " + std::to_string(arms_) + " arms over";
    for (const auto& running : running_) detail += "; " + text_of(running);
    bar_->update(steps_done(), detail);
  }

  static std::string text_of(const Running& running) {
    const auto& name = running.arm->name;
    switch (running.run->phase()) {
      case ArmRun::Phase::waiting:
        return name + " waits for another process that works on it";
      case ArmRun::Phase::training: {
        const auto progress = read_arm_progress(running.arm->paths.metrics());
        return name + " step " + std::to_string(progress.step) + "/" +
               std::to_string(running.arm->steps) + " loss " + fixed(progress.loss, 3);
      }
      case ArmRun::Phase::measuring:
        return name + " is measured";
      case ArmRun::Phase::over:
        break;
    }
    return name;
  }

  const JobSlots& slots_;
  std::vector<bool> is_free_;
  std::vector<const QueuedArm*> waiting_;
  std::vector<Running> running_;
  std::size_t arms_ = 0, over_ = 0;
  std::int64_t steps_before_ = 0, steps_of_ended_ = 0;
  double last_report_ = 0;
  std::unique_ptr<ProgressBar> bar_;
};

}  // namespace

void run_arms(const std::vector<QueuedArm>& arms, const JobSlots& slots) {
  ArmQueue(arms, slots).run();
}

}  // namespace zebra
