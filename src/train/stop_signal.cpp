#include "train/stop_signal.h"

#include <unistd.h>

namespace zebra {
namespace {

constexpr int kEndedBySigint = 128 + SIGINT;

volatile std::sig_atomic_t g_received = 0;
volatile std::sig_atomic_t g_interrupted = 0;

// Only sets flags: the training loop does the rest.
void on_signal(int signal) {
  if (signal == SIGINT && g_interrupted != 0) _exit(kEndedBySigint);
  if (signal == SIGINT) g_interrupted = 1;
  g_received = signal;
}

}  // namespace

void watch_stop_signals() {
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
