#include "ablation/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/error.h"

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
    bool is_replaced = false;
    for (const auto& [name, value] : variables)
      is_replaced = is_replaced || text.starts_with(name + "=");
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

}  // namespace

std::string ExitReport::text() const {
  if (signal != 0) return "signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
  return "exit status " + std::to_string(status);
}

ChildProcess::ChildProcess(const std::vector<std::string>& command, const Variables& variables,
                           const std::filesystem::path& log, int inherited) {
  const int log_descriptor = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
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

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), report_(other.report_) {}

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
  collect(status);
  return true;
}

void ChildProcess::collect(int wait_status) {
  pid_ = -1;
  if (WIFSIGNALED(wait_status)) {
    report_.signal = WTERMSIG(wait_status);
  } else {
    report_.status = WEXITSTATUS(wait_status);
  }
}

void ChildProcess::send(int signal) {
  if (pid_ > 0) ::kill(pid_, signal);
}

std::filesystem::path own_program() { return std::filesystem::read_symlink("/proc/self/exe"); }

}  // namespace zebra
