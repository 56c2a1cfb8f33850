#include "ablation/arm_queue.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/system.h"
#include "base/text.h"
#include "train/stop_signal.h"

extern char** environ;

namespace zebra {
namespace {

// Pointers to texts that outlive them, ended by a null pointer, as exec wants them.
std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_with(const ChildProcess::Variables& variables) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const bool is_replaced = std::ranges::any_of(
        variables, [&](const auto& variable) { return text.starts_with(variable.first + "="); });
    if (!is_replaced) environment.push_back(text);
  }
  for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
  return environment;
}

// Between fork and exec: nothing here may allocate or lock.
[[noreturn]] void become(char* const* arguments, char* const* environment, int log, int inherited,
                         pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(127);  // it died before it could be watched
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // Signals of the terminal are for the parent, which passes on what they mean.
  ::setpgid(0, 0);
  const int input = ::open("/dev/null", O_RDONLY);
  ::dup2(input, STDIN_FILENO);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  if (inherited >= 0) ::fcntl(inherited, F_SETFD, 0);
  ::execve(arguments[0], arguments, environment);
  ::_exit(127);
}

constexpr auto kPollInterval = std::chrono::milliseconds(100);
constexpr double kSecondsBetweenReports = 1.0;  // reading metrics costs more than a look at a child

std::string last_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string last;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) last = line;
  }
  return last;
}

struct Running {
  const QueuedArm* arm;
  std::size_t slot;
  std::unique_ptr<ArmRun> run;
};

class ArmQueue {
 public:
  ArmQueue(const std::vector<QueuedArm>& arms, const JobSlots& slots)
      : slots_(slots), is_free_(slots.size(), true), arms_(arms.size()) {
    std::uint64_t total = 0;
    for (const auto& arm : arms) {
      const auto status = read_arm_status(arm.paths, arm.goal);
      if (status.state == ArmState::finished) {
        ++over_;
      } else if (status.is_final) {
        log_warning(arm.name + ": " + status.reason + " (another attempt would end alike)");
        ++over_;
      } else {
        waiting_.push_back(&arm);
        const auto before = read_arm_progress(arm.paths.metrics()).step;
        steps_before_ += before;
        total += static_cast<std::uint64_t>(std::max<std::int64_t>(0, arm.goal.steps - before));
      }
    }
    if (total > 0) bar_ = std::make_unique<ProgressBar>("arms", total, "steps");
  }

  void run() {
    bool is_stopping = false;
    while (!waiting_.empty() || !running_.empty()) {
      if (stop_signal() != 0 && !std::exchange(is_stopping, true)) stop(stop_signal());
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
      running_.push_back(
          {arm, slot, std::make_unique<ArmRun>(arm->paths, arm->goal, std::move(commands))});
      is_free_[slot] = false;
    }
  }

  void collect() {
    std::erase_if(running_, [this](Running& running) {
      if (!running.run->poll()) return false;
      is_free_[running.slot] = true;
      steps_of_ended_ += read_arm_progress(running.arm->paths.metrics()).step;
      const auto status = read_arm_status(running.arm->paths, running.arm->goal);
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
               std::to_string(running.arm->goal.steps) +
               (progress.loss ? " loss " + fixed(*progress.loss, 3) : "");
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

std::string ExitReport::text() const {
  if (signal != 0) return "signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
  return "exit status " + std::to_string(status);
}

ChildProcess::ChildProcess(const std::vector<std::string>& command, const Variables& variables,
                           const std::filesystem::path& log, int inherited) {
  const int log_descriptor =
      ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (log_descriptor < 0)
    throw RunError(log.string() + ": cannot open it for output: " + std::strerror(errno));
  auto texts = command;
  auto environment = environment_with(variables);
  const auto arguments = pointers_to(texts), entries = pointers_to(environment);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) become(arguments.data(), entries.data(), log_descriptor, inherited, parent);
  const int error = errno;
  ::close(log_descriptor);
  if (pid_ < 0) throw RunError(command.front() + ": cannot be started: " + std::strerror(error));
}

ChildProcess::~ChildProcess() {
  if (pid_ < 0) return;
  send(SIGTERM);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
}

bool ChildProcess::has_ended() {
  if (pid_ < 0) return true;
  int status = 0;
  const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR)) return false;
  pid_ = -1;
  if (WIFSIGNALED(status)) {
    report_.signal = WTERMSIG(status);
  } else {
    report_.status = WEXITSTATUS(status);
  }
  return true;
}

void ChildProcess::send(int signal) {
  if (pid_ > 0) ::kill(pid_, signal);
}

std::filesystem::path own_program() { return std::filesystem::read_symlink("/proc/self/exe"); }

ArmRun::ArmRun(const ArmPaths& paths, const ArmGoal& goal, ArmCommands commands)
    : paths_(paths),
      goal_(goal),
      commands_(std::move(commands)),
      lock_(std::in_place, paths.lock) {}

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
      begin();
    }
    return;
  }
  if (!child_->has_ended()) return;
  const ExitReport report = child_->report();
  if (phase_ == Phase::training && report.is_done() && !is_stopping_)
    return start(Phase::measuring, commands_.recall);
  const bool is_stopped = phase_ == Phase::training && report.status == kExitStopped;
  if (!report.is_done() && !is_stopped && !is_stopping_) fail(report);
  phase_ = Phase::over;
}

void ArmRun::begin() {
  std::filesystem::remove(paths_.failure);
  const auto status = read_arm_status(paths_, goal_);
  if (status.state == ArmState::finished) {
    phase_ = Phase::over;
  } else if (status.is_trained) {
    start(Phase::measuring, commands_.recall);
  } else {
    start(Phase::training, commands_.train);
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

void ArmRun::fail(const ExitReport& report) {
  const bool was_training = phase_ == Phase::training;
  auto reason = was_training ? recorded_failure(paths_.run) : "";
  if (reason.empty() || report.signal != 0) reason = last_line(paths_.log);
  write_file_atomically(paths_.failure, (was_training ? "training" : "measuring recall") +
                                            (" ended with " + report.text()) +
                                            (reason.empty() ? "" : ": " + reason) + "\n");
}

JobSlots job_slots(int jobs, bool on_gpu) {
  JobSlots slots(static_cast<std::size_t>(jobs));
  if (jobs == 1) return slots;
  const auto threads =
      std::max(1U, std::thread::hardware_concurrency() / static_cast<unsigned>(jobs));
  for (std::size_t job = 0; job < slots.size(); ++job) {
    if (std::getenv("OMP_NUM_THREADS") == nullptr)
      slots[job].emplace_back("OMP_NUM_THREADS", std::to_string(threads));
    if (on_gpu) slots[job].emplace_back("CUDA_VISIBLE_DEVICES", std::to_string(job));
  }
  return slots;
}

void run_arms(const std::vector<QueuedArm>& arms, const JobSlots& slots) {
  ArmQueue(arms, slots).run();
}

std::int64_t count_failed(const std::vector<QueuedArm>& arms) {
  return std::count_if(arms.begin(), arms.end(), [](const QueuedArm& arm) {
    return read_arm_status(arm.paths, arm.goal).state == ArmState::failed;
  });
}

}  // namespace zebra
