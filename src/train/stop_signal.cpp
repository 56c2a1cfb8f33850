#include "train/stop_signal.h"

#include <unistd.h>

#include <cerrno>

namespace zebra {
namespace {

constexpr int kEndedBySigint = 128 + SIGINT;

volatile std::sig_atomic_t g_received = 0;
volatile std::sig_atomic_t g_interrupted = 0;

std::string_view g_answer;

// Async-signal-safe, and leaves errno as it is for what was interrupted.
void say(std::string_view text) {
  const int saved = errno;
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
  errno = saved;
}

// Sets flags and answers: the training loop does the rest.
void on_signal(int signal) {
  if (signal == SIGINT && g_interrupted != 0) {
    if (!g_answer.empty()) say("\nstopped at once, without saving\n");
    _exit(kEndedBySigint);
  }
  if (g_received == 0) say(g_answer);
  if (signal == SIGINT) g_interrupted = 1;
  g_received = signal;
}

}  // namespace

void watch_stop_signals(std::string_view answer) {
  g_answer = answer;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const int signal : kStopSignals) {
    struct sigaction before {};
    sigaction(signal, nullptr, &before);
    if (signal == SIGHUP && before.sa_handler == SIG_IGN) continue;
    sigaction(signal, &action, nullptr);
  }
  std::signal(SIGPIPE, SIG_IGN);
}

int stop_signal() { return g_received; }

std::string stop_signal_name(int signal) {
  switch (signal) {
    case SIGINT:
      return "SIGINT";
    case SIGTERM:
      return "SIGTERM";
    case SIGHUP:
      return "SIGHUP";
    default:
      return "SIGUSR1";
  }
}

}  // namespace zebra
